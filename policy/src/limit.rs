//! Rates, as shapes. The counters live in `proxy/src/limits.rs`.

use std::fmt;

/// How many requests, in what time, counted for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Requests allowed per `window_seconds`.
    pub count: u32,
    /// The window in seconds: 1, 60 or 3600.
    pub window_seconds: u32,
    /// For whom it counts.
    pub per: Per,
}

/// For whom a [`Limit`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// All callers of the rule together.
    Rule,
    /// Each workload apart.
    Workload,
    /// Each task apart.
    Task,
}

impl Limit {
    /// Parses `50/s`, `100/min` or `1000/h`; the number is from 1 to 1000000, without leading zeros.
    pub(crate) fn parse(rate: &str, per: Per) -> Option<Self> {
        let (count, unit) = rate.split_once('/')?;
        let window_seconds = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return None,
        };
        let plain = count.bytes().all(|byte| byte.is_ascii_digit()) && !count.starts_with('0');
        let count: u32 = count.parse().ok().filter(|count| plain && *count <= 1_000_000)?;
        Some(Self { count, window_seconds, per })
    }
}

impl fmt::Display for Limit {
    /// As the policy spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.window_seconds {
            1 => "s",
            60 => "min",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        assert_eq!(Limit::parse("50/s", Per::Task), Some(Limit { count: 50, window_seconds: 1, per: Per::Task }));
        assert_eq!(Limit::parse("1000000/h", Per::Rule).map(|limit| limit.window_seconds), Some(3600));
        for rate in ["50/s", "7/min", "1/h"] {
            assert_eq!(Limit::parse(rate, Per::Rule).unwrap().to_string(), rate);
        }
        for rate in ["", "50", "50/", "/s", "0/s", "050/s", "+5/s", "-5/s", "5 / s", "5/m", "5/S", "1.5/s", "1000001/s", "99999999999/s"] {
            assert_eq!(Limit::parse(rate, Per::Rule), None, "{rate}");
        }
    }
}
