//! A moving test picture that carries its own frame number, and a tone with a blip each second.
