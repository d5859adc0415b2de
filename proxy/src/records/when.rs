use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

/// A day, in milliseconds.
pub const DAY: i64 = 24 * 60 * 60 * 1000;

/// Milliseconds since the epoch of a moment: `2026-01-31T12:00:00Z`, `2026-01-31` (its beginning, UTC), or how long ago, as in `90s`, `15min`,
/// `12h` and `30d`.
///
/// # Errors
/// What it must look like.
pub fn moment(text: &str, now: Timestamp) -> Result<i64, String> {
    if let Some(span) = span(text) {
        return Ok(now.as_millisecond().saturating_sub(span));
    }
    if let Ok(date) = text.parse::<Date>()
        && let Ok(midnight) = date.to_zoned_datetime(TimeZone::UTC)
    {
        return Ok(midnight.timestamp().as_millisecond());
    }
    let complaint = "write a moment as `2026-01-31T12:00:00Z` or `2026-01-31`, or how long ago, as in `12h` or `30d`";
    text.parse::<Timestamp>().map(Timestamp::as_millisecond).map_err(|_| complaint.to_owned())
}

fn span(text: &str) -> Option<i64> {
    let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return None,
    };
    count.checked_mul(seconds)?.checked_mul(1000)
}

/// A moment for people: UTC, to the second.
#[must_use]
pub fn shown(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| "never".to_owned(), |time| format!("{time:.0}"))
}

/// A moment for machines: UTC, to the millisecond.
#[must_use]
pub fn precise(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}

/// How long ago, in one word: `now`, `5 min`, `3 h`, `12 d`.
#[must_use]
pub fn ago(milliseconds: i64, now: Timestamp) -> String {
    let passed = SignedDuration::from_millis(now.as_millisecond().saturating_sub(milliseconds)).as_secs();
    match passed {
        ..60 => "now".to_owned(),
        60..7200 => format!("{} min ago", passed / 60),
        7200..172_800 => format!("{} h ago", passed / 3600),
        _ => format!("{} d ago", passed / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_people_write_it() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let at = |text: &str| moment(text, now).map(shown);
        assert_eq!(at("2026-01-01").unwrap(), "2026-01-01T00:00:00Z");
        assert_eq!(at("2026-01-01T01:02:03Z").unwrap(), "2026-01-01T01:02:03Z");
        assert_eq!(at("36h").unwrap(), "2026-01-30T00:00:00Z");
        assert_eq!(at("30d").unwrap(), "2026-01-01T12:00:00Z");
        for text in ["", "d", "12", "1w", "-1d", "yesterday", "99999999999999999999d", "2026-13-01"] {
            assert!(at(text).is_err(), "{text}");
        }
        assert_eq!(["5s", "5min", "5h", "5d"].map(|text| ago(moment(text, now).unwrap(), now)), ["now", "5 min ago", "5 h ago", "5 d ago"]);
    }
}
