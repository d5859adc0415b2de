use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::*;

fn order(subject: Subject, name: &str, measure: Measure) -> Order {
    let target = Target::parse(subject, name).unwrap();
    Order { target, measure, since: Timestamp::UNIX_EPOCH, by: "uid 7".into(), reason: Some("leaked".into()) }
}

fn host(name: &str) -> Host {
    Host::parse(name).unwrap()
}

fn code(stops: &Stops, workloads: &[&str], task: Option<&str>, to: &str) -> Option<Code> {
    let workloads: Vec<Arc<str>> = workloads.iter().map(|name| (*name).into()).collect();
    let about = About { workloads: &workloads, task, host: &host(to), credential: None };
    stops.check(about).err().map(|refusal| refusal.code)
}

#[test]
fn a_stop_refuses_what_it_names_and_nothing_else() {
    let stops = Stops::default();
    assert_eq!(code(&stops, &["agent"], Some("7"), "api.example.com"), None);
    stops.put(order(Subject::Workload, "agent", Measure::Suspended)).unwrap();
    assert_eq!(code(&stops, &["agent"], None, "api.example.com"), Some(Code::Suspended));
    assert_eq!(code(&stops, &["ci", "agent"], None, "api.example.com"), Some(Code::Suspended), "whichever of its names it is");
    assert_eq!(code(&stops, &["ci"], Some("agent"), "agent"), None);
    stops.put(order(Subject::Task, "7", Measure::Revoked)).unwrap();
    assert_eq!(code(&stops, &["ci"], Some("7"), "api.example.com"), Some(Code::Revoked));
    stops.put(order(Subject::Host, "*.example.com", Measure::Suspended)).unwrap();
    assert_eq!(code(&stops, &["ci"], None, "api.example.com"), Some(Code::Suspended));
    assert_eq!(code(&stops, &["ci"], None, "example.com"), None);
    assert_eq!(stops.orders().len(), 3);
}

#[test]
fn a_stop_is_lifted_by_its_own_name() {
    let stops = Stops::new(vec![order(Subject::Host, "api.example.com", Measure::Revoked)]);
    assert_eq!(code(&stops, &[], None, "api.example.com"), Some(Code::Revoked));
    assert!(stops.lift(&Target::parse(Subject::Host, "other.example.com").unwrap()).is_none());
    assert!(stops.lift(&Target::parse(Subject::Task, "api.example.com").unwrap()).is_none());
    let lifted = stops.lift(&Target::parse(Subject::Host, "api.example.com").unwrap());
    assert_eq!(lifted.unwrap().measure, Measure::Revoked);
    assert_eq!(code(&stops, &[], None, "api.example.com"), None);
}

#[test]
fn the_last_word_about_one_name_counts() {
    let stops = Stops::default();
    for measure in [Measure::Suspended, Measure::Revoked] {
        stops.put(order(Subject::Host, "a.test", measure)).unwrap();
        stops.put(order(Subject::Workload, "w", measure)).unwrap();
    }
    assert_eq!(stops.orders().len(), 2);
    assert!(stops.orders().iter().all(|order| order.measure == Measure::Revoked));
}

#[test]
fn whoever_is_refused_reads_who_when_and_why() {
    let order = order(Subject::Credential, "crm", Measure::Revoked);
    assert_eq!(order.describe(), "credential `crm` was revoked at 1970-01-01T00:00:00Z by uid 7: leaked");
}

#[test]
fn names_and_reasons_are_one_bounded_line() {
    for name in ["", "a\nb", "\u{1b}[2J", &"x".repeat(257)] {
        assert!(Target::parse(Subject::Owner, name).is_err(), "{name:?}");
    }
    assert!(Target::parse(Subject::Host, "a b").is_err());
    assert!(Order::reason("a\nb").is_err());
    assert!(Order::reason(&"x".repeat(257)).is_err());
}

fn concern(request: u64) -> Concern {
    let workloads: Rc<[Arc<str>]> = Rc::new([]);
    Concern { request, generation: 1, workloads, task: None, rule: "r".into(), credential: None, host: host("a.test") }
}

#[test]
fn what_is_reviewed_ends_once_and_wakes_who_waits() {
    let ties = Rc::new(Ties::default());
    let (one, other) = (ties.tie(concern(1)), ties.tie(concern(2)));
    let cx = Context::from_waker(Waker::noop());
    assert!(one.poll_cut(&cx).is_pending());
    let at_once = |concern: &Concern| (concern.request == 1).then_some(Duration::ZERO);
    let reviewed = ties.review(Instant::now(), at_once);
    assert_eq!(reviewed.ended.iter().map(|concern| concern.request).collect::<Vec<_>>(), [1]);
    assert_eq!(reviewed.next, None);
    assert_eq!(one.poll_cut(&cx), Poll::Ready(Cut));
    assert!(!other.is_cut());
    assert!(ties.review(Instant::now(), at_once).ended.is_empty());
}

#[test]
fn a_grace_runs_from_the_first_look_and_is_forgotten_where_the_reason_goes() {
    let ties = Rc::new(Ties::default());
    let tie = ties.tie(concern(1));
    let (begun, second) = (Instant::now(), Duration::from_secs(1));
    let leaving = |_: &Concern| Some(second);
    assert_eq!(ties.review(begun, leaving).next, Some(begun + second));
    assert_eq!(ties.review(begun + second / 2, leaving).next, Some(begun + second));
    assert!(!tie.is_cut());
    assert_eq!(ties.review(begun + second / 2, |_| None).next, None);
    assert_eq!(ties.review(begun + second, leaving).next, Some(begun + second * 2));
    assert_eq!(ties.review(begun + second * 2, leaving).ended.len(), 1);
    assert!(tie.is_cut());
}

#[test]
fn a_place_is_used_again_and_never_by_the_one_before() {
    let ties = Rc::new(Ties::default());
    let one = ties.tie(concern(1));
    ties.review(Instant::now(), |_| Some(Duration::ZERO));
    assert!(one.is_cut());
    drop(one);
    assert!(!ties.tie(concern(2)).is_cut());
}

#[tokio::test]
async fn work_goes_on_until_it_is_cut() {
    let ties = Rc::new(Ties::default());
    let tie = ties.tie(concern(1));
    assert_eq!(tie.unless_cut(std::pin::pin!(async { 7 })).await, Ok(7));
    let endless = async { tie.unless_cut(std::pin::pin!(std::future::pending::<()>())).await };
    let review = async { ties.review(Instant::now(), |_| Some(Duration::ZERO)) };
    assert_eq!(tokio::join!(endless, review).0, Err(Cut));
}
