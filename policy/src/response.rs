//! What is looked for in what happens, and what follows where it is found; the looking and the doing are the proxy's.

use schemars::JsonSchema;
use serde::Deserialize;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detector {
    /// A placeholder or a task token in the wrong place or hands.
    Misplaced,
    /// The value of a credential from an application.
    RealValue,
    /// One task token from two callers.
    TokenShared,
    /// Use of what was revoked.
    AfterRevoke,
    /// Something that a credential never did before.
    FirstUse,
    /// More than a credential ever did before.
    Rate,
    /// Bursts of denied requests.
    Probing,
}

impl Detector {
    /// Every detector.
    pub const ALL: [Self; 7] =
        [Self::Misplaced, Self::RealValue, Self::TokenShared, Self::AfterRevoke, Self::FirstUse, Self::Rate, Self::Probing];

    /// The word for it: key of the policy, code of the record, label of the metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Misplaced => "misplaced",
            Self::RealValue => "real_value",
            Self::TokenShared => "token_shared",
            Self::AfterRevoke => "after_revoke",
            Self::FirstUse => "first_use",
            Self::Rate => "rate",
            Self::Probing => "probing",
        }
    }
}

/// What follows an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Nothing but the alert itself.
    #[default]
    Alert,
    /// The caller gets one request a second for ten minutes.
    Throttle,
    /// The task, or the workload where there is no task, is suspended until somebody resumes it.
    Suspend,
    /// The same, and what was issued to it is revoked; of a credential whose value is out, that credential itself.
    Revoke,
}

impl Response {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Throttle => "throttle",
            Self::Suspend => "suspend",
            Self::Revoke => "revoke",
        }
    }
}

/// What follows the alerts of each detector: nothing more, where the policy does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Responses([Response; Detector::ALL.len()]);

impl Responses {
    /// What follows an alert of this detector.
    #[must_use]
    pub fn to(&self, detector: Detector) -> Response {
        self.0.get(detector as usize).copied().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, detector: Detector, response: Response) {
        if let Some(place) = self.0.get_mut(detector as usize) {
            *place = response;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_detector_has_a_place_of_its_own() {
        for (at, detector) in Detector::ALL.into_iter().enumerate() {
            assert_eq!(detector as usize, at);
            let mut responses = Responses::default();
            responses.set(detector, Response::Revoke);
            assert!(Detector::ALL.iter().all(|other| (responses.to(*other) == Response::Revoke) == (*other == detector)));
        }
    }
}
