//! Device URLs: `local`, or a scheme, a colon and the address that a kind of link reads.

use std::{fmt, str::FromStr};

use super::{DeviceUrl, KINDS, LinkKind};

/// Makes [`DeviceUrl`], and what depends on its kind, from the list of links.
macro_rules! links {
    ($($kind:ident($module:ident::$address:ident),)+) => {
        $(pub use $module::$address;)+

        /// Where a device is and how it is reached.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum DeviceUrl {
            /// `local`: the CPU engine in this process, on all cores. It has no link.
            Local,
            $(#[doc = concat!("See [`", stringify!($address), "`].")] $kind($address),)+
        }

        /// Every kind of device URL, in the order in which people are shown them.
        pub const KINDS: &[LinkKind] = &[LinkKind::LOCAL, $(LinkKind::of::<$address>()),+];

        impl DeviceUrl {
            /// Its kind.
            pub fn kind(&self) -> LinkKind {
                match self {
                    Self::Local => LinkKind::LOCAL,
                    $(Self::$kind(_) => LinkKind::of::<$address>(),)+
                }
            }

            /// Opens the link to the device.
            ///
            /// Blocks for as long as opening takes: for a program until it is started, for a pseudo-terminal until the program has
            /// named it, for QEMU until it has connected, for a port until the system has opened it. Nothing is sent.
            ///
            /// # Errors
            /// When the port is absent, busy or forbidden, a program cannot be started, or the URL is `local`, which needs no
            /// link. Nothing is left open or running.
            pub fn open(&self, options: &LinkOptions) -> Result<Link, LinkError> {
                match self {
                    Self::Local => Err(LinkError::NoLink),
                    $(Self::$kind(address) => address.open(options),)+
                }
            }

            /// Where a device that has vanished from here may have come back.
            fn elsewhere(&self) -> Vec<Self> {
                match self {
                    Self::Local => Vec::new(),
                    $(Self::$kind(address) => address.elsewhere().into_iter().map(Self::$kind).collect(),)+
                }
            }

            /// The address behind a scheme; `None` for an unknown scheme.
            fn parse(scheme: &str, rest: &str) -> Option<Result<Self, UrlError>> {
                match scheme {
                    $($address::SCHEME => Some($address::parse(rest).map(Self::$kind)),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for DeviceUrl {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    Self::Local => f.write_str(LinkKind::LOCAL.scheme),
                    $(Self::$kind(address) => address.fmt(f),)+
                }
            }
        }
    };
}

/// Why a device URL cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The part before the colon is none of ours.
    #[error("\"{url}\" is not a device; there are {}", Syntaxes)]
    Scheme {
        /// As given.
        url: String,
    },
    /// A part that must not be empty is.
    #[error("\"{url}\" lacks {missing}: write {example}")]
    Missing {
        /// As given.
        url: String,
        /// What is missing.
        missing: &'static str,
        /// How it is written.
        example: &'static str,
    },
    /// An option behind the address that this kind of link does not have, or whose value is wrong.
    #[error("\"{text}\" {problem}")]
    Option {
        /// As given.
        text: String,
        /// What is wrong with it, and what would be right.
        problem: &'static str,
    },
    /// An address that names no device of this kind.
    #[error("\"{url}\" {problem}")]
    Address {
        /// As given.
        url: String,
        /// What is wrong with it, and what would be right.
        problem: &'static str,
    },
}

/// The syntaxes of all kinds, for people.
struct Syntaxes;

impl fmt::Display for Syntaxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, kind) in KINDS.iter().enumerate() {
            let separator = match number {
                0 => "",
                _ if number + 1 == KINDS.len() => " and ",
                _ => ", ",
            };
            write!(f, "{separator}`{}`", kind.syntax)?;
        }
        Ok(())
    }
}

impl FromStr for DeviceUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        if scheme == LinkKind::LOCAL.scheme && rest.is_empty() {
            return Ok(Self::Local);
        }
        Self::parse(scheme, rest).unwrap_or_else(|| Err(UrlError::Scheme { url: url.into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for url in [
            "local",
            "gpu",
            "gpu:radeon 780M",
            "pty:",
            "serial:/dev/ttyACM0?baud=115200",
            "qemu:mps2-an386",
            "qemu:mps2-an386?console=/tmp/console",
            "usb:",
            "usb:1209:0001:10000000abcdef",
            "exec:ssh pi@board kurtoscope-device --stdio",
        ] {
            let read = url.parse::<DeviceUrl>().expect(url);
            assert_eq!(read.to_string(), url);
            assert!(url.starts_with(read.kind().scheme), "{url}");
        }
        assert_eq!("local:".parse(), Ok(DeviceUrl::Local));
    }

    #[test]
    fn mistakes_are_named() {
        for (url, part) in [
            ("gpx", "\"gpx\" is not a device; there are `local`, `gpu[:NAME]`, "),
            ("/dev/ttyACM0", " and `exec:COMMAND`"),
            ("local:9", "\"local:9\" is not a device"),
            ("pty:9", "\"pty:9\" names a terminal"),
            ("serial", "\"serial:\" lacks the port: write serial:/dev/ttyACM0"),
            ("serial:/dev/x?parity=even", "\"parity=even\" is not an option"),
            ("serial:/dev/x?baud=fast", "\"fast\" is not a rate"),
            ("serial:/dev/x?baud=0", "\"0\" is not a rate"),
            ("qemu:", "lacks the machine: write qemu:mps2-an386"),
            ("qemu:mps2-an386?fast", "\"fast\" is not an option"),
            ("qemu:mps2-an386?console=", "\"console=\" is not an option"),
            ("usb:board", "\"usb:board\" names no USB device"),
            ("exec: ", "lacks the command"),
        ] {
            let error = url.parse::<DeviceUrl>().expect_err(url).to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn every_kind_has_a_scheme_of_its_own() {
        for (number, kind) in KINDS.iter().enumerate() {
            assert!(kind.syntax.starts_with(kind.scheme) && !kind.summary.is_empty());
            assert!(KINDS[..number].iter().all(|other| other.scheme != kind.scheme), "{}", kind.scheme);
        }
    }
}
