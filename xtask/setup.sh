#!/usr/bin/env bash
# Brings a machine to the point where `make` works: installs by name what is missing, and says what it cannot install.
#   setup.sh build   what a release build needs
#   setup.sh check   that, and the tools of `make check` and `make test`
set -euo pipefail

rust_min=1.95
nextest_version=0.9.143
deny_version=0.20.2

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Command and package of everything that the C codecs and the cryptographic library are built with.
missing_packages() {
  have cmake || echo cmake
  have nasm || echo nasm
  have cc || echo gcc
  have c++ || echo g++
  have make || echo make
  have perl || echo perl
  have pkg-config || echo pkg-config
  have git || echo git
}

install_packages() {
  local packages=("$@") root=()
  if ! have apt-get; then
    die "please install ${packages[*]} with your system's package manager (brew, dnf, pacman, …), then run make again"
  fi
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || die "needs ${packages[*]}: run 'apt-get install ${packages[*]}' as root, then make again"
    root=(sudo)
  fi
  say "installing ${packages[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

check_rust() {
  have cargo && have rustc ||
    die "needs Rust $rust_min or later: install it from https://rustup.rs, open a new shell, then run make again"
  local version
  version=$(rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n' "$rust_min" "$version" | sort -V | head -n 1)" = "$rust_min" ] ||
    die "needs Rust $rust_min or later, found $version: run 'rustup update stable', then make again"
}

check_component() {
  cargo "$1" --version >/dev/null 2>&1 ||
    rustup component add "$2" ||
    die "needs the Rust component $2: run 'rustup component add $2', then make again"
}

# `cargo install` puts programs where cargo itself finds them as subcommands, PATH or not.
install_cargo_tool() {
  local name=$1 version=$2
  cargo "${name#cargo-}" --version >/dev/null 2>&1 && return
  say "building $name $version (a few minutes, once)"
  cargo install --quiet --locked "$name@$version"
}

main() {
  local packages
  mapfile -t packages < <(missing_packages)
  [ "${#packages[@]}" -eq 0 ] || install_packages "${packages[@]}"
  check_rust
  [ "${1:-build}" = check ] || return 0
  check_component fmt rustfmt
  check_component clippy clippy
  install_cargo_tool cargo-nextest "$nextest_version"
  install_cargo_tool cargo-deny "$deny_version"
}

main "$@"
