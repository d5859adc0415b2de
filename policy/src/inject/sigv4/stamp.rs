use jiff::Timestamp;
use jiff::tz::Offset;

/// A moment as SigV4 writes it: `20150830T123600Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp([u8; 16]);

impl Stamp {
    pub(super) fn of(now: Timestamp) -> Self {
        let at = Offset::UTC.to_datetime(now);
        // Years of four digits: what lies outside is no time of day that anybody signs at.
        let year = u16::try_from(at.year()).unwrap_or_default();
        let digit = |number: u16, unit: u16| b'0' + u8::try_from(number / unit % 10).unwrap_or_default();
        let two = |number: i8| {
            let number = u16::from(number.unsigned_abs());
            [digit(number, 10), digit(number, 1)]
        };
        let [month, day, hour, minute, second] = [at.month(), at.day(), at.hour(), at.minute(), at.second()].map(two);
        Self([
            digit(year, 1000),
            digit(year, 100),
            digit(year, 10),
            digit(year, 1),
            month[0],
            month[1],
            day[0],
            day[1],
            b'T',
            hour[0],
            hour[1],
            minute[0],
            minute[1],
            second[0],
            second[1],
            b'Z',
        ])
    }

    /// Date and time.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The date alone: `20150830`.
    pub(super) fn date(&self) -> &str {
        self.as_str().get(..8).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_sigv4_wants_it() {
        for (moment, text) in [
            ("2015-08-30T12:36:00Z", "20150830T123600Z"),
            ("1970-01-01T00:00:00Z", "19700101T000000Z"),
            ("2026-11-24T09:05:07.999Z", "20261124T090507Z"),
            ("2026-12-31T23:30:00-01:00", "20270101T003000Z"),
        ] {
            let stamp = Stamp::of(moment.parse().unwrap());
            assert_eq!((stamp.as_str(), stamp.date()), (text, &text[..8]));
        }
    }
}
