use super::check::{Check, Section};
use crate::problem::one_of;
use crate::response::{Detector, Response, Responses};

/// `responses:` as meant: what each detector leads to.
pub(super) fn compile(section: Section<Response>, check: &mut Check) -> Responses {
    let mut responses = Responses::default();
    for named in section.entries {
        match Detector::ALL.into_iter().find(|detector| detector.as_str() == named.name) {
            Some(detector) => responses.set(detector, *named.entry),
            None => {
                let known: Vec<String> = Detector::ALL.iter().map(|detector| detector.as_str().to_owned()).collect();
                let help = one_of("the detectors are", &named.name, &known.iter().collect::<Vec<_>>());
                check.error("unknown_detector", named.place, format!("there is no detector `{}`", named.name), help);
            }
        }
    }
    responses
}
