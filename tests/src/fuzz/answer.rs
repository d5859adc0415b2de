use std::io::Read;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use keygress::needles::Needles;
use keygress::scrub::{self, Depth, Sieve, Window};
use keygress_policy::material::Secret;

use crate::servers::parrot::{FORMS, written};

/// The value that must not come back. Long enough that its pieces are not found by accident.
const VALUE: &str = "canary0123456789abcdefVALUE+/=~!";

/// The value in some of its forms, and beginnings of them.
pub(super) const WORDS: &[&str] = &[
    VALUE,
    "canary0123456789",
    "abcdefVALUE+/=~!",
    "canary",
    "Y2FuYXJ5MDEyMzQ1Njc4OWFiY2RlZlZBTFVFKy89fiE=",
    "NhbmFyeTAxMjM0NTY3ODlhYmNkZWZWQUxVRSsvPX4h",
    "63616e6172793031323334353637383961626364656656414c55452b2f3d7e21",
    "canary0123456789abcdefVALUE%2B%2F%3D~%21",
    "%63%61%6e%61%72%79",
    "canary0123456789abcdefVALUE+\\/=~!",
    "\\u0063\\u0061\\u006eary",
    "%",
    "\\u00",
    "=",
    "\r\n",
    "A",
    "c",
];

fn needles() -> Result<&'static Arc<Needles>> {
    static NEEDLES: OnceLock<Option<Arc<Needles>>> = OnceLock::new();
    NEEDLES.get_or_init(|| Needles::compile(&[Secret::new(VALUE.as_bytes().to_vec())])).as_ref().context("no needles")
}

/// Cut anywhere, a body comes to the same; what is masked is masked at equal length, and the value is in none of it.
pub(super) fn window(bytes: &[u8]) -> Result<()> {
    let (cuts, body) = bytes.split_at(bytes.len().min(4));
    let whole = passed(body, &[])?;
    let cut = passed(body, cuts)?;
    ensure!(whole == cut, "cut at {cuts:?}: {}\nwhole: {}", shown(&cut), shown(&whole));
    ensure!(whole.len() == body.len(), "{} bytes became {}", body.len(), whole.len());
    let kept = whole.iter().zip(body).all(|(ours, theirs)| ours == theirs || *ours == b'*');
    ensure!(kept, "something else than a star came in: {}", shown(&whole));
    clean(&whole)
}

/// What passes where chunks have these lengths in turn; as a whole where there is none.
fn passed(body: &[u8], cuts: &[u8]) -> Result<Vec<u8>> {
    let mut window = Window::new(Arc::clone(needles()?));
    let (mut out, mut rest, mut lengths) = (Vec::new(), body, cuts.iter().cycle());
    while !rest.is_empty() {
        let length = lengths.next().map_or(rest.len(), |cut| usize::from(*cut).clamp(1, rest.len()));
        let (chunk, tail) = rest.split_at(length);
        out.extend_from_slice(&window.pass(Bytes::copy_from_slice(chunk)));
        ensure!(window.held_bytes() <= 16 * VALUE.len(), "{} bytes are held back", window.held_bytes());
        rest = tail;
    }
    out.extend_from_slice(&window.finish());
    Ok(out)
}

/// The names of codings, and how each is taken off by another library.
const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// A body in a coding comes to what another library makes of it, cut anywhere, or is broken off; it grows no more than it may. The first
/// byte chooses the coding, and whether what follows is coded here or stands as it is.
pub(super) fn coding(bytes: &[u8]) -> Result<()> {
    let [choice, cut, rest @ ..] = bytes else { return Ok(()) };
    let name = CODINGS.iter().cycle().nth(usize::from(choice & 3)).context("no coding")?;
    let coded = if choice & 4 == 0 { rest.to_vec() } else { crate::servers::parrot::coded(name, rest)? };
    let (whole, cut) = (taken_off(name, &coded, 0)?, taken_off(name, &coded, *cut)?);
    ensure!(whole == cut, "{name}: in pieces it comes to something else: {whole:?} and {cut:?}");
    if let Some(got) = &whole {
        ensure!(got.len() <= 1000 * coded.len() + (1 << 20), "{name}: {} bytes became {}", coded.len(), got.len());
        clean(got)?;
        // What another library reads too must be the same, but for the stars.
        if let Some(theirs) = theirs(name, &coded) {
            let same = theirs.len() == got.len() && got.iter().zip(&theirs).all(|(ours, theirs)| ours == theirs || *ours == b'*');
            ensure!(same, "{name}: {} here, {} there", shown(got), shown(&theirs));
        }
    }
    ensure!(choice & 4 == 0 || whole.is_some(), "{name}: what was coded well is broken off");
    Ok(())
}

/// What comes off, in chunks of this length; `None` where it is broken off.
fn taken_off(name: &str, coded: &[u8], cut: u8) -> Result<Option<Vec<u8>>> {
    let body = Full::new(Bytes::copy_from_slice(coded));
    let mut response = Response::builder().header("content-encoding", name).body(body)?;
    let Ok(mut sieve) = scrub::answer(&mut response, needles()?, Depth::Whole) else { return Ok(None) };
    let mut out = Vec::new();
    for chunk in coded.chunks(if cut == 0 { coded.len().max(1) } else { usize::from(cut) }) {
        sieve.take(Bytes::copy_from_slice(chunk));
        if !given(&mut sieve, &mut out) {
            return Ok(None);
        }
    }
    Ok((coded.is_empty() || sieve.end().is_ok() && given(&mut sieve, &mut out)).then_some(out))
}

/// Takes all that the sieve gives now; `false` where it breaks off.
fn given(sieve: &mut Sieve, out: &mut Vec<u8>) -> bool {
    loop {
        match sieve.give() {
            Ok(Some(bytes)) => out.extend_from_slice(&bytes),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

fn theirs(name: &str, coded: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let limit = 16 << 20;
    let read = match name {
        "gzip" => flate2::read::MultiGzDecoder::new(coded).take(limit).read_to_end(&mut out),
        "br" => brotli::Decompressor::new(coded, 4096).take(limit).read_to_end(&mut out),
        "deflate" => match flate2::read::ZlibDecoder::new(coded).take(limit).read_to_end(&mut out) {
            Ok(count) => Ok(count),
            Err(_) => {
                out.clear();
                flate2::read::DeflateDecoder::new(coded).take(limit).read_to_end(&mut out)
            }
        },
        _ => return None,
    };
    read.is_ok().then_some(out)
}

/// The whole value is nowhere: as it is, and in the forms that decode by themselves.
fn clean(bytes: &[u8]) -> Result<()> {
    for form in FORMS {
        let form = written(VALUE, form)?;
        ensure!(!bytes.windows(form.len()).any(|window| window == form.as_bytes()), "`{form}` is in {}", shown(bytes));
    }
    Ok(())
}

fn shown(bytes: &[u8]) -> String {
    super::corpus::line(bytes)
}
