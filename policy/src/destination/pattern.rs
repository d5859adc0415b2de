use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::method::MethodSet;
use super::path::{SlashInSegment, compare_segment, decoded, path_problem, segments};
use crate::problem::Complaint;

/// What is escaped where a literal is shown: all but the unreserved characters (RFC 3986, section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Most segments that a pattern may have.
const SEGMENTS_MAX: usize = 64;

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// These bytes, once escapes are decoded.
    Literal(Box<[u8]>),
    /// `{name}`: exactly one segment that is not empty.
    One,
}

/// A path pattern: literal segments, `{name}`, and `**` at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern {
    /// The segments before the `**`.
    pub(crate) segments: Box<[Segment]>,
    /// Whether it ends in `**`: zero or more further segments.
    pub(crate) rest: bool,
}

/// `METHOD /path` of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestPattern {
    /// The methods that match.
    pub(crate) methods: MethodSet,
    /// The paths that match.
    pub(crate) path: PathPattern,
}

impl RequestPattern {
    /// Every listed method, every path.
    pub(crate) fn everything() -> Self {
        Self { methods: MethodSet::ANY, path: PathPattern { segments: Box::default(), rest: true } }
    }

    /// Parses `METHOD /path`.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(crate) fn parse(text: &str, slash: SlashInSegment) -> Result<Self, Complaint> {
        let Some((method, path)) = text.split_once(' ') else {
            return Err(Complaint::new("the entry is not a method and a path", "write it as `GET /path`, `* /path` for every method"));
        };
        let methods = parse_methods(method)?;
        Ok(Self { methods, path: PathPattern::parse(path, slash)? })
    }

    /// Whether it matches one request: the plain reading that the compiled paths are compared with.
    pub(crate) fn matches(&self, method: &Method, path: &str) -> bool {
        MethodSet::of(method).is_some_and(|method| self.methods.intersects(method)) && self.path.matches(path)
    }

    /// Whether there is a request that both match.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.methods.intersects(other.methods) && self.path.shared_path(&other.path, "x").is_some()
    }

    /// Whether every request that `other` matches is matched by this one too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.methods.covers(other.methods) && self.path.covers(&other.path)
    }
}

fn parse_methods(method: &str) -> Result<MethodSet, Complaint> {
    if method == "*" {
        return Ok(MethodSet::ANY);
    }
    if let Some(methods) = MethodSet::named(method) {
        return Ok(methods);
    }
    let folded = method.to_ascii_uppercase();
    if MethodSet::named(&folded).is_some() {
        return Err(Complaint::new(format!("`{method}` is not a method"), format!("methods are upper case: write `{folded}`")));
    }
    Err(Complaint::new(
        format!("`{method}` is not a method that a rule may allow"),
        "use a method of HTTP or WebDAV other than CONNECT, TRACE and TRACK, or `*` for all of them",
    ))
}

impl PathPattern {
    fn parse(path: &str, slash: SlashInSegment) -> Result<Self, Complaint> {
        if path.contains(['?', '#']) {
            return Err(Complaint::new("the path has a query or a fragment", "a rule matches the path alone: leave the query out"));
        }
        if let Some(problem) = path_problem(path, slash) {
            let help = if problem.contains("encoded slash") {
                "say `encoded_slash: opaque` on the rule where the API needs it"
            } else {
                if path.starts_with('/') {
                    "such a path is refused before it is matched: write the plain form"
                } else {
                    "begin it with `/`"
                }
            };
            return Err(Complaint::new(problem, help));
        }
        let mut parsed = Vec::new();
        let mut rest = false;
        for segment in segments(path) {
            if rest {
                return Err(Complaint::new("`**` is not the last segment", "put `**` at the end, `{name}` for one segment in the middle"));
            }
            if segment == "**" {
                rest = true;
            } else {
                parsed.push(Segment::parse(segment)?);
            }
        }
        if parsed.len() > SEGMENTS_MAX {
            return Err(Complaint::new(format!("the path has more than {SEGMENTS_MAX} segments"), "end it in `**`"));
        }
        Ok(Self { segments: parsed.into(), rest })
    }

    /// The literal that every matching path begins with, where there is one.
    pub(crate) fn first_literal(&self) -> Option<&[u8]> {
        match self.segments.first() {
            Some(Segment::Literal(literal)) => Some(literal),
            Some(Segment::One) | None => None,
        }
    }

    fn matches(&self, path: &str) -> bool {
        let mut written = segments(path);
        self.segments.iter().all(|own| written.next().is_some_and(|segment| own.matches(segment)))
            && (self.rest || written.next().is_none())
    }

    /// Whether every path that `other` matches is matched by this one too.
    fn covers(&self, other: &Self) -> bool {
        let long_enough = if self.rest {
            other.segments.len() >= self.segments.len()
        } else {
            !other.rest && other.segments.len() == self.segments.len()
        };
        long_enough && self.segments.iter().zip(&other.segments).all(|(own, theirs)| own.covers(theirs))
    }

    /// A path that both match, where there is one: what is free is filled with `fill`.
    pub(crate) fn shared_path(&self, other: &Self, fill: &str) -> Option<String> {
        let (short, long) = if self.segments.len() <= other.segments.len() { (self, other) } else { (other, self) };
        if short.segments.len() < long.segments.len() && !short.rest {
            return None;
        }
        let mut path = String::new();
        for (index, segment) in long.segments.iter().enumerate() {
            let meet = short.segments.get(index).map_or(Some(segment), |other| segment.meet(other))?;
            path.push('/');
            meet.write(&mut path, fill);
        }
        if path.is_empty() { Some("/".to_owned()) } else { Some(path) }
    }
}

impl Segment {
    fn parse(segment: &str) -> Result<Self, Complaint> {
        if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        {
            return Ok(Self::One);
        }
        if segment.contains(['{', '}', '*']) {
            return Err(Complaint::new(
                format!("`{segment}` is neither a literal segment nor a placeholder"),
                "write `{name}` for exactly one segment, `**` at the end for the rest",
            ));
        }
        Ok(Self::Literal(decoded(segment.as_bytes()).collect()))
    }

    fn matches(&self, segment: &str) -> bool {
        match self {
            Self::One => !segment.is_empty(),
            Self::Literal(literal) => compare_segment(literal, segment).is_eq(),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One, Self::One) => true,
            (Self::One, Self::Literal(bytes)) => !bytes.is_empty(),
            (Self::Literal(own), Self::Literal(theirs)) => own == theirs,
            (Self::Literal(_), Self::One) => false,
        }
    }

    /// What matches both, where anything does.
    fn meet<'s>(&'s self, other: &'s Self) -> Option<&'s Self> {
        if self.covers(other) {
            Some(other)
        } else if other.covers(self) {
            Some(self)
        } else {
            None
        }
    }

    fn write(&self, path: &mut String, fill: &str) {
        match self {
            Self::One => path.push_str(fill),
            Self::Literal(bytes) => path.extend(percent_encode(bytes, ESCAPED)),
        }
    }
}
