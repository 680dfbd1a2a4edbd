//! The only door to libaom: its encoder behind a type that owns the context.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr;

use libaom_sys as sys;

use super::structure::{Plan, SLOTS};
use super::{AomFailure, EncoderConfig, Frame, Mode};

const REFERENCES: usize = 7;
/// Places of LAST, LAST2, GOLDEN and ALTREF2 among the seven references.
const LAST: usize = 0;
const GOLDEN: usize = 3;
const SPARE: [usize; 2] = [1, 5];

const MIN_QUANTIZER: u32 = 2;
const MAX_QUANTIZER: u32 = 56;

/// An AV1 encoder in realtime mode that returns the packet of a picture from the call that took it.
pub(super) struct Aom {
    context: Box<sys::aom_codec_ctx_t>,
    settings: sys::aom_codec_enc_cfg_t,
}

// SAFETY: the context is reached only through this value, `&mut self` on every call keeps uses apart, and libaom ties
// no state to the thread that made the context.
unsafe impl Send for Aom {}

impl Aom {
    pub(super) fn new(config: &EncoderConfig) -> Result<Self, AomFailure> {
        let settings = settings(config)?;
        let mut context = Box::new(MaybeUninit::<sys::aom_codec_ctx_t>::zeroed());
        // SAFETY: the interface is libaom's own static, `context` and `settings` are valid for the call, and the
        // version is the one that the bindings were made from. The context is plain C data for which all zeros is
        // valid.
        let (status, context) = unsafe {
            let version = sys::AOM_ENCODER_ABI_VERSION as i32;
            let status =
                sys::aom_codec_enc_init_ver(context.as_mut_ptr(), sys::aom_codec_av1_cx(), &settings, 0, version);
            (status, context.assume_init())
        };
        let mut aom = Self { context, settings };
        succeeded("aom_codec_enc_init", status)?;
        aom.set_tools(config)?;
        Ok(aom)
    }

    /// Sets the rate of each layer in kbit/s (cumulative over temporal layers within a spatial layer) and, before the
    /// first picture, the layers themselves.
    pub(super) fn set_layers(&mut self, config: &EncoderConfig, rates_kbps: &[u32]) -> Result<(), AomFailure> {
        self.settings.rc_target_bitrate = config.bitrate_kbps;
        // SAFETY: both pointers are valid for the call and the context is initialized.
        let status = unsafe { sys::aom_codec_enc_config_set(&mut *self.context, &self.settings) };
        succeeded("aom_codec_enc_config_set", status)?;
        let mut params = layer_params(config, rates_kbps);
        self.control_struct("AV1E_SET_SVC_PARAMS", sys::AV1E_SET_SVC_PARAMS, &mut params)
    }

    /// Says which layer the next call to [`Aom::encode`] makes, from which slots and into which.
    pub(super) fn set_layer(&mut self, spatial: u8, temporal: u8, plan: &Plan) -> Result<(), AomFailure> {
        let mut id = sys::aom_svc_layer_id { spatial_layer_id: spatial.into(), temporal_layer_id: temporal.into() };
        self.control_struct("AV1E_SET_SVC_LAYER_ID", sys::AV1E_SET_SVC_LAYER_ID, &mut id)?;
        let mut references = reference_config(plan);
        self.control_struct("AV1E_SET_SVC_REF_FRAME_CONFIG", sys::AV1E_SET_SVC_REF_FRAME_CONFIG, &mut references)
    }

    /// Encodes one layer of `frame` at `tick`, in frames, and returns its packet.
    pub(super) fn encode(&mut self, frame: &Frame, tick: i64, kind: Kind) -> Result<Vec<u8>, AomFailure> {
        let flags = match kind {
            Kind::Key => sys::AOM_EFLAG_FORCE_KF,
            Kind::Switch => sys::AOM_EFLAG_ERROR_RESILIENT,
            Kind::Predicted => 0,
        };
        let mut image = MaybeUninit::<sys::aom_image_t>::zeroed();
        // SAFETY: the frame's buffer holds dense I420 planes of exactly this size, which is what `aom_img_wrap` with
        // alignment 1 describes; libaom copies the picture within the call and never writes to it. A null image would
        // be refused as the end of the stream, so it is checked.
        let status = unsafe {
            let data = frame.i420().as_ptr().cast_mut();
            let wrapped =
                sys::aom_img_wrap(image.as_mut_ptr(), sys::AOM_IMG_FMT_I420, frame.width(), frame.height(), 1, data);
            if wrapped.is_null() {
                return Err(AomFailure { call: "aom_img_wrap", status: sys::AOM_CODEC_INVALID_PARAM });
            }
            sys::aom_codec_encode(&mut *self.context, wrapped, tick, 1, flags.into())
        };
        succeeded("aom_codec_encode", status)?;
        self.packet(tick)
    }

    fn packet(&mut self, tick: i64) -> Result<Vec<u8>, AomFailure> {
        let mut iter: sys::aom_codec_iter_t = ptr::null();
        let mut out = Vec::new();
        loop {
            // SAFETY: the context is initialized and `iter` started as null. The packet is valid until the next call
            // into the context; a frame packet's buffer holds `sz` bytes and is copied before that call.
            let packet = unsafe { sys::aom_codec_get_cx_data(&mut *self.context, &mut iter).as_ref() };
            let Some(packet) = packet else { break };
            if packet.kind != sys::AOM_CODEC_CX_FRAME_PKT {
                continue;
            }
            // SAFETY: `kind` says which member of the union is set; the buffer is as described above.
            unsafe {
                let part = packet.data.frame;
                if part.pts == tick && !part.buf.is_null() {
                    out.extend_from_slice(std::slice::from_raw_parts(part.buf.cast::<u8>(), part.sz));
                }
            }
        }
        match out.is_empty() {
            true => Err(AomFailure { call: "aom_codec_get_cx_data", status: sys::AOM_CODEC_OK }),
            false => Ok(out),
        }
    }

    fn set_tools(&mut self, config: &EncoderConfig) -> Result<(), AomFailure> {
        self.control("AOME_SET_CPUUSED", sys::AOME_SET_CPUUSED, config.speed.clamp(5, 11).into())?;
        let tile_columns = i32::from(config.width > 1280) + i32::from(config.width > 1920);
        self.control("AV1E_SET_TILE_COLUMNS", sys::AV1E_SET_TILE_COLUMNS, tile_columns)?;
        self.control("AV1E_SET_ROW_MT", sys::AV1E_SET_ROW_MT, i32::from(config.threads > 1))?;
        for (name, id, value) in TOOLS {
            self.control(name, id, value)?;
        }
        Ok(())
    }

    fn control(&mut self, name: &'static str, id: u32, value: i32) -> Result<(), AomFailure> {
        // SAFETY: every control that this file passes here takes one int or unsigned int.
        let status = unsafe { sys::aom_codec_control(&mut *self.context, id as i32, value) };
        succeeded(name, status)
    }

    fn control_struct<T>(&mut self, name: &'static str, id: u32, value: &mut T) -> Result<(), AomFailure> {
        // SAFETY: each caller pairs the control with the structure that it takes a pointer to; libaom copies it.
        let status = unsafe { sys::aom_codec_control(&mut *self.context, id as i32, ptr::from_mut(value)) };
        succeeded(name, status)
    }
}

impl Drop for Aom {
    fn drop(&mut self) {
        // SAFETY: the context was made by `aom_codec_enc_init_ver` and is not used again. After a failed init its
        // private part is null, which libaom answers with an error status.
        unsafe { sys::aom_codec_destroy(&mut *self.context) };
    }
}

/// How a layer frame starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// From nothing.
    Key,
    /// From the layer below alone. Its size is written out: else it would be copied from the slot to refresh, where a
    /// receiver that had not this layer before holds a picture of another size.
    Switch,
    /// From a picture of its own size.
    Predicted,
}

fn settings(config: &EncoderConfig) -> Result<sys::aom_codec_enc_cfg_t, AomFailure> {
    let mut settings = MaybeUninit::<sys::aom_codec_enc_cfg_t>::zeroed();
    // SAFETY: the interface is libaom's own static and `settings` has room for the structure, which is plain C data for
    // which all zeros is valid.
    let (status, mut settings) = unsafe {
        let usage = sys::AOM_USAGE_REALTIME;
        let status = sys::aom_codec_enc_config_default(sys::aom_codec_av1_cx(), settings.as_mut_ptr(), usage);
        (status, settings.assume_init())
    };
    succeeded("aom_codec_enc_config_default", status)?;
    let (rate_num, rate_den) = config.frame_rate;
    settings.g_w = config.width;
    settings.g_h = config.height;
    settings.g_threads = config.threads.into();
    settings.g_timebase = sys::aom_rational { num: rate_den as i32, den: rate_num as i32 };
    settings.g_lag_in_frames = 0;
    settings.g_error_resilient = 0;
    settings.g_pass = sys::AOM_RC_ONE_PASS;
    settings.kf_mode = sys::AOM_KF_DISABLED;
    settings.rc_end_usage = sys::AOM_CBR;
    settings.rc_target_bitrate = config.bitrate_kbps;
    settings.rc_dropframe_thresh = 0;
    settings.rc_resize_mode = 0;
    settings.rc_min_quantizer = MIN_QUANTIZER;
    settings.rc_max_quantizer = MAX_QUANTIZER;
    settings.rc_undershoot_pct = 50;
    settings.rc_overshoot_pct = 50;
    settings.rc_buf_sz = 1_000;
    settings.rc_buf_initial_sz = 600;
    settings.rc_buf_optimal_sz = 600;
    Ok(settings)
}

/// A stream of one layer is declared as two temporal layers of which the upper one never comes: with references given
/// by the caller, libaom's path for a single layer spends less than its rate and is worse at the same rate.
fn layer_params(config: &EncoderConfig, rates_kbps: &[u32]) -> sys::aom_svc_params {
    let (spatial, temporal) = (config.mode.spatial_layers(), config.mode.temporal_layers());
    let single = config.mode == Mode::L1T1;
    let mut params = sys::aom_svc_params {
        number_spatial_layers: spatial.into(),
        number_temporal_layers: if single { 2 } else { temporal.into() },
        max_quantizers: [MAX_QUANTIZER as i32; 32],
        min_quantizers: [MIN_QUANTIZER as i32; 32],
        scaling_factor_num: [1; 4],
        scaling_factor_den: [1; 4],
        layer_target_bitrate: [0; 32],
        framerate_factor: [1; 8],
    };
    for (layer, divisor) in params.scaling_factor_den.iter_mut().take(spatial.into()).enumerate() {
        *divisor = 1 << (usize::from(spatial) - 1 - layer);
    }
    for (layer, factor) in params.framerate_factor.iter_mut().take(temporal.into()).enumerate() {
        *factor = 1 << (usize::from(temporal) - 1 - layer);
    }
    let rates = rates_kbps.iter().chain(rates_kbps.iter().filter(|_| single));
    for (target, rate) in params.layer_target_bitrate.iter_mut().zip(rates) {
        *target = i32::try_from(*rate).unwrap_or(i32::MAX);
    }
    params
}

/// References that are off map to the first one that is on, so that a decoder finds a picture of a fitting size there;
/// a slot to refresh is mapped too, since libaom refreshes only mapped slots.
fn reference_config(plan: &Plan) -> sys::aom_svc_ref_frame_config {
    let used = [(LAST, plan.last), (GOLDEN, plan.golden)];
    let first = used.iter().find_map(|(_, slot)| *slot).unwrap_or_default();
    let mut config = sys::aom_svc_ref_frame_config {
        reference: [0; REFERENCES],
        ref_idx: [first.into(); REFERENCES],
        refresh: [0; SLOTS],
    };
    for (place, slot) in used {
        if let Some(slot) = slot {
            config.reference[place] = 1;
            config.ref_idx[place] = slot.into();
        }
    }
    let mut spare = SPARE.iter();
    for slot in (0..SLOTS).filter(|slot| plan.refresh >> slot & 1 == 1) {
        config.refresh[slot] = 1;
        if !config.ref_idx.contains(&(slot as i32))
            && let Some(place) = spare.next()
        {
            config.ref_idx[*place] = slot as i32;
        }
    }
    config
}

fn succeeded(call: &'static str, status: u32) -> Result<(), AomFailure> {
    match status {
        sys::AOM_CODEC_OK => Ok(()),
        status => Err(AomFailure { call, status }),
    }
}

/// What pays off in realtime at high speed: the choice that libaom's own realtime callers make.
const TOOLS: [(&str, u32, i32); 22] = [
    ("AV1E_SET_AQ_MODE", sys::AV1E_SET_AQ_MODE, 3),
    ("AV1E_SET_DELTAQ_MODE", sys::AV1E_SET_DELTAQ_MODE, 0),
    ("AV1E_SET_ENABLE_CDEF", sys::AV1E_SET_ENABLE_CDEF, 1),
    ("AV1E_SET_ENABLE_ORDER_HINT", sys::AV1E_SET_ENABLE_ORDER_HINT, 0),
    ("AV1E_SET_ENABLE_OBMC", sys::AV1E_SET_ENABLE_OBMC, 0),
    ("AV1E_SET_ENABLE_WARPED_MOTION", sys::AV1E_SET_ENABLE_WARPED_MOTION, 0),
    ("AV1E_SET_ENABLE_GLOBAL_MOTION", sys::AV1E_SET_ENABLE_GLOBAL_MOTION, 0),
    ("AV1E_SET_ENABLE_REF_FRAME_MVS", sys::AV1E_SET_ENABLE_REF_FRAME_MVS, 0),
    ("AV1E_SET_ENABLE_TPL_MODEL", sys::AV1E_SET_ENABLE_TPL_MODEL, 0),
    ("AV1E_SET_ENABLE_PALETTE", sys::AV1E_SET_ENABLE_PALETTE, 0),
    ("AV1E_SET_ENABLE_CFL_INTRA", sys::AV1E_SET_ENABLE_CFL_INTRA, 0),
    ("AV1E_SET_ENABLE_SMOOTH_INTRA", sys::AV1E_SET_ENABLE_SMOOTH_INTRA, 0),
    ("AV1E_SET_ENABLE_ANGLE_DELTA", sys::AV1E_SET_ENABLE_ANGLE_DELTA, 0),
    ("AV1E_SET_ENABLE_FILTER_INTRA", sys::AV1E_SET_ENABLE_FILTER_INTRA, 0),
    ("AV1E_SET_ENABLE_INTRABC", sys::AV1E_SET_ENABLE_INTRABC, 0),
    ("AV1E_SET_INTRA_DEFAULT_TX_ONLY", sys::AV1E_SET_INTRA_DEFAULT_TX_ONLY, 1),
    ("AV1E_SET_COEFF_COST_UPD_FREQ", sys::AV1E_SET_COEFF_COST_UPD_FREQ, 3),
    ("AV1E_SET_MODE_COST_UPD_FREQ", sys::AV1E_SET_MODE_COST_UPD_FREQ, 3),
    ("AV1E_SET_MV_COST_UPD_FREQ", sys::AV1E_SET_MV_COST_UPD_FREQ, 3),
    ("AV1E_SET_DV_COST_UPD_FREQ", sys::AV1E_SET_DV_COST_UPD_FREQ, 3),
    ("AV1E_SET_CDF_UPDATE_MODE", sys::AV1E_SET_CDF_UPDATE_MODE, 1),
    ("AOME_SET_MAX_INTRA_BITRATE_PCT", sys::AOME_SET_MAX_INTRA_BITRATE_PCT, 300),
];
