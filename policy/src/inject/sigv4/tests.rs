//! What happens to requests; what the signature is worth stands in `vectors` and `oracle`.

use super::super::tests::{self, aws_keys, complaint, head, injection, token};
use super::super::{Injection, SlotRefusal};
use super::*;

/// Bodies in chunks.
mod chunks;

/// The crate `aws-sigv4` computes the same.
mod oracle;

/// The public vectors.
mod vectors;

const S3: &str = "sigv4: { services: [s3], regions: [eu-west-1] }";
const SQS: &str = "sigv4: { services: [sqs], regions: [eu-west-1] }";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn sending(body: Option<&[u8]>) -> Sending<'_> {
    Sending { now: "2026-11-24T10:00:00Z".parse().unwrap(), authority: "acme.s3.eu-west-1.amazonaws.com", body, ..tests::sending() }
}

fn signed(yaml: &str, head: &mut Parts, body: Option<&[u8]>) -> Result<Payload, String> {
    let injection = injection(yaml);
    let rendered = injection.render(&aws_keys(Some("TOKEN/+=="))).unwrap();
    let mut sending = sending(body);
    if yaml.contains("sqs") {
        sending.authority = "sqs.eu-west-1.amazonaws.com";
    }
    injection.act(head, &rendered, &sending)
}

fn authorization(head: &Parts) -> &str {
    let mut values = head.headers.get_all("authorization").iter();
    let only = values.next().unwrap().to_str().unwrap();
    assert!(values.next().is_none());
    only
}

#[test]
fn what_the_application_signed_is_replaced_whole() {
    let mut head = head(
        "/key?versionId=1",
        &[
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIATHEIRS/20200101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=00",
            ),
            ("x-amz-date", "20200101T000000Z"),
            ("x_amz_date", "20200101T000000Z"),
            ("x-amz-security-token", "theirs"),
            ("x-amz-security-token", "theirs-too"),
            ("x-amz-acl", "private"),
            ("accept", "*/*"),
        ],
    );
    signed(S3, &mut head, Some(b"")).unwrap();
    let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/eu-west-1/s3/aws4_request, \
                    SignedHeaders=host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=";
    assert!(authorization(&head).starts_with(expected), "{}", authorization(&head));
    let all = |name: &str| head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((all("x-amz-date"), all("x-amz-security-token")), (vec!["20261124T100000Z"], vec!["TOKEN/+=="]));
    assert_eq!((all("x_amz_date"), all("accept"), all("x-amz-acl")), (vec![], vec!["*/*"], vec!["private"]));
    assert!(head.headers["authorization"].is_sensitive() && head.headers["x-amz-security-token"].is_sensitive());
    assert!(!format!("{head:?}").contains("theirs"));
}

#[test]
fn long_lived_keys_bring_no_token() {
    let (mut head, injection) = (head("/", &[("x-amz-security-token", "theirs")]), injection(S3));
    let rendered = injection.render(&aws_keys(None)).unwrap();
    injection.act(&mut head, &rendered, &sending(Some(b""))).unwrap();
    assert!(!head.headers.contains_key("x-amz-security-token"));
    assert!(!format!("{head:?}").contains("wJalr"));
}

#[test]
fn the_secret_key_and_the_token_in_both_its_forms_are_needles() {
    let rendered = injection(S3).render(&aws_keys(Some("TOKEN/+=="))).unwrap();
    let expected: [&[u8]; 3] = [b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", b"TOKEN/+==", b"TOKEN%2F%2B%3D%3D"];
    assert_eq!(rendered.needles().len(), expected.len());
    assert!(rendered.needles().iter().zip(expected).all(|(needle, expected)| needle.is(expected)));
    assert!(!format!("{rendered:?}").contains("TOKEN") && !format!("{rendered:?}").contains("wJalr"));
}

#[test]
fn the_body_is_hashed_unless_s3_takes_it_unsigned_or_the_application_named_the_hash() {
    let hash = |head: &Parts| head.headers.get("x-amz-content-sha256").map(|value| value.to_str().unwrap().to_owned());
    let theirs = "a".repeat(64);
    let named = [("x-amz-content-sha256", theirs.as_str())];
    for (yaml, headers, body, expected) in [
        (S3, &[][..], Some(&b""[..]), Some(EMPTY)),
        (S3, &[], None, Some("UNSIGNED-PAYLOAD")),
        (S3, &named, None, Some(theirs.as_str())),
        (S3, &[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")], None, Some("UNSIGNED-PAYLOAD")),
        (SQS, &[], Some(b"Action=ListQueues"), None),
        (SQS, &named, None, Some(theirs.as_str())),
    ] {
        let mut head = head("/", headers);
        signed(yaml, &mut head, body).unwrap();
        assert_eq!(hash(&head).as_deref(), expected, "{yaml} {headers:?}");
    }
    for (yaml, headers, body) in [
        (SQS, &[][..], None),
        (S3, &[("x-amz-content-sha256", "unsigned-payload")][..], None),
        (S3, &[("x-amz-content-sha256", "")], None),
        (S3, &[("x-amz-content-sha256", "STREAMING-NOBODY-KNOWS")], None),
    ] {
        let mut head = head("/", headers);
        assert!(signed(yaml, &mut head, body).is_err());
        assert!(!head.headers.contains_key("authorization"), "on error the head is unchanged");
    }
}

#[test]
fn only_what_must_be_hashed_is_read() {
    let s3 = "acme.s3.eu-west-1.amazonaws.com";
    let sqs = "sqs.eu-west-1.amazonaws.com";
    let named = [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
    assert_eq!(injection(S3).body_bytes_max(&head("/", &[]), s3), None);
    assert_eq!(injection(SQS).body_bytes_max(&head("/", &named), sqs), None);
    assert_eq!(injection(SQS).body_bytes_max(&head("/", &[]), sqs), Some(1024 * 1024));
    let more = injection("sigv4: { services: [sqs], regions: [eu-west-1], body_max: 6MiB }");
    assert_eq!(more.body_bytes_max(&head("/", &[]), sqs), Some(6 * 1024 * 1024));
}

#[test]
fn a_signature_in_the_query_is_made_anew_and_stays_in_the_query() {
    let theirs = "/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIATHEIRS%2F20200101%2Fus-east-1%2Fs3%2Faws4_request\
                  &X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&versionId=7&x-amz-security-token=theirs&X-Amz-Signature=00";
    let mut head = head(theirs, &[]);
    signed(S3, &mut head, None).unwrap();
    let query = head.uri.query().unwrap();
    let expected = "versionId=7&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261124%2Feu-west-1%2Fs3%2Faws4_request\
                    &X-Amz-Date=20261124T100000Z&X-Amz-Expires=60&X-Amz-Security-Token=TOKEN%2F%2B%3D%3D&X-Amz-SignedHeaders=host&X-Amz-Signature=";
    let signature = query.strip_prefix(expected).unwrap_or_else(|| panic!("{query}"));
    assert_eq!(signature.len(), 64);
    assert!(head.headers.is_empty());
}

#[test]
fn an_url_is_never_signed_for_longer_than_five_minutes() {
    for (asked, given) in [("604800", "300"), ("1", "1"), ("0", "1"), ("soon", "300"), ("-1", "300")] {
        let mut head = head(&format!("/?X-Amz-Expires={asked}&X-Amz-Signature=00"), &[]);
        signed(S3, &mut head, None).unwrap();
        assert!(head.uri.query().unwrap().contains(&format!("X-Amz-Expires={given}&")), "{}", head.uri);
    }
}

#[test]
fn a_header_and_a_query_that_sign_are_refused_together() {
    let refused = |uri: &str, headers: &[(&str, &str)]| injection(S3).admit(&head(uri, headers), None);
    for uri in ["/?X-Amz-Signature=00", "/?a=1&x-amz-credential=x", "/?X%2DAmz-Algorithm=x", "/?a;X-AMZ-SIGNATURE=1"] {
        assert!(matches!(refused(uri, &[("authorization", "AWS4-HMAC-SHA256 x")]), Err(SlotRefusal::Unreadable(_))), "{uri}");
        assert_eq!(refused(uri, &[]), Ok(()), "{uri}");
    }
    assert_eq!(refused("/?X-Amz-Meta=1", &[("authorization", "AWS4-HMAC-SHA256 x")]), Ok(()));
    let twice = [("x-amz-content-sha256", EMPTY), ("X-Amz-Content_SHA256", "UNSIGNED-PAYLOAD")];
    assert!(matches!(refused("/", &twice), Err(SlotRefusal::Unreadable(_))));
}

#[test]
fn the_access_key_id_must_be_the_placeholder() {
    let injection = injection("sigv4: { services: [s3], regions: [eu-west-1], existing: require_placeholder }");
    let placeholder = Secret::new(b"AKIAPLACEHOLDER".to_vec());
    let by_header = |value: &str| injection.admit(&head("/", &[("authorization", value)]), Some(&placeholder)).is_ok();
    assert!(by_header("AWS4-HMAC-SHA256 Credential=AKIAPLACEHOLDER/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"));
    for other in [
        "AWS4-HMAC-SHA256 Credential=AKIAOTHER/2020",
        "AWS4-HMAC-SHA256 Credential=AKIAPLACEHOLDERX/",
        "AKIAPLACEHOLDER",
        "Bearer AKIAPLACEHOLDER",
        "",
    ] {
        assert!(!by_header(other), "{other}");
    }
    let by_query = |query: &str| injection.admit(&head(&format!("/?{query}"), &[]), Some(&placeholder)).is_ok();
    assert!(by_query("X-Amz-Credential=AKIAPLACEHOLDER%2F20200101&X-Amz-Signature=0"));
    assert!(!by_query("X-Amz-Credential=AKIAOTHER%2F20200101&X-Amz-Signature=0"));
    assert!(!by_query("X-Amz-Credential=AKIAPLACEHOLDER/&X-Amz-Credential=AKIAPLACEHOLDER/"));
    assert!(injection.admit(&head("/", &[]), Some(&placeholder)).is_err());
}

#[test]
fn a_request_that_signs_is_refused_where_the_slot_must_be_empty() {
    let injection = injection("sigv4: { services: [s3], regions: [eu-west-1], existing: if_absent }");
    assert!(injection.admit(&head("/", &[]), None).is_ok());
    assert_eq!(injection.admit(&head("/", &[("authorization", "x")]), None), Err(SlotRefusal::Occupied));
    assert_eq!(injection.admit(&head("/?X-Amz-Signature=0", &[]), None), Err(SlotRefusal::Occupied));
}

#[test]
fn what_stands_in_the_policy_is_checked() {
    assert!(complaint("sigv4: { services: [], regions: [eu-west-1] }").0.contains("`services` lists nothing"));
    assert!(complaint("sigv4: { services: [s3], regions: ['*'] }").0.contains("is not a name for `regions`"));
    assert!(serde_saphyr::from_str::<super::super::Shape>("sigv4: { services: [s3], regions: [eu-west-1], body_max: 1GiB }").is_err());
    let misplaced = |authority: &str| injection(S3).misplaced(authority);
    assert_eq!(misplaced("acme.s3.eu-west-1.amazonaws.com"), None);
    assert!(misplaced("acme.s3.us-east-1.amazonaws.com").unwrap().0.contains("is in `us-east-1`, which `regions` does not list"));
    assert!(injection(S3).render(&token("T0")).unwrap_err().contains("takes AWS keys, and this is a token"));
}

#[test]
fn the_slots_of_the_signature_are_its_own() {
    let injection: Injection = injection(S3);
    for (name, own) in
        [("authorization", true), ("x_amz-date", true), ("x-amz-security-token", true), ("x-amz-acl", false), ("date", false)]
    {
        assert_eq!(injection.owns_header(&name.parse().unwrap()), own, "{name}");
    }
}

#[test]
fn an_action_that_answers_with_a_credential_is_refused_unless_the_policy_names_it() {
    let ask = |more: &str, service: &str, uri: &str, target: Option<&str>, body: &[u8]| {
        let injection = injection(&format!("sigv4: {{ services: [{service}], regions: [eu-west-1]{more} }}"));
        let headers: Vec<(&str, &str)> = target.map(|target| ("x-amz-target", target)).into_iter().collect();
        let rendered = injection.render(&aws_keys(None)).unwrap();
        let mut sending = sending(Some(body));
        sending.authority = "service.test";
        injection.act(&mut head(uri, &headers), &rendered, &sending).map(drop)
    };
    let ecr = Some("AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
    for (service, uri, target, body) in [
        ("sts", "/", None, &b"Action=AssumeRole&Version=2011-06-15"[..]),
        ("sts", "/", None, b"Version=2011-06-15&%41ction=%47etSessionToken"),
        ("sts", "/", None, b"Action=assumerole"),
        ("sts", "/?Action=GetFederationToken", None, b""),
        ("sts", "/?Action=GetCallerIdentity", None, b"Action=AssumeRole"),
        ("sts", "/", None, b""),
        ("sts", "/", None, b"\xff"),
        ("iam", "/", None, b"Action=CreateAccessKey&UserName=x"),
        ("ecr", "/", ecr, b"{}"),
    ] {
        assert!(ask("", service, uri, target, body).is_err(), "{service} {uri} {body:?}");
    }
    assert_eq!(ask("", "sts", "/", None, b"Action=GetCallerIdentity&Version=2011-06-15"), Ok(()));
    assert_eq!(ask("", "ecr", "/", Some("AmazonEC2ContainerRegistry_V20150921.DescribeImages"), b"{}"), Ok(()));
    assert_eq!(ask(", mints: [AssumeRole]", "sts", "/", None, b"Action=AssumeRole"), Ok(()));
    assert!(ask(", mints: [AssumeRole]", "sts", "/", None, b"Action=GetSessionToken").is_err());
    assert_eq!(ask(", mints: [GetAuthorizationToken]", "ecr", "/", ecr, b"{}"), Ok(()));
    assert!(complaint("sigv4: { services: [sts], regions: [eu-west-1], mints: [Everything] }").0.contains("no action that is refused"));
    let sts = injection("sigv4: { services: [sts], regions: [eu-west-1] }");
    assert!(sts.body_bytes_max(&head("/", &[("x-amz-content-sha256", EMPTY)]), "sts.test").is_some(), "what it asks is read in any case");
}

#[test]
fn a_request_is_signed_for_all_regions_at_once_and_no_stale_signature_passes() {
    let injection = injection("sigv4: { services: [s3], regions: ['us-*', eu-west-1], asymmetric: true }");
    let host = "alias.mrap.accesspoint.s3-global.amazonaws.com";
    assert_eq!(injection.misplaced(host), None);
    assert_eq!(injection.misplaced("acme.s3.us-east-2.amazonaws.com"), None);
    assert!(injection.misplaced("acme.s3.eu-west-2.amazonaws.com").unwrap().0.contains("`eu-west-2`"));
    let rendered = injection.render(&aws_keys(Some("token"))).unwrap();
    let mut signed = head("/key", &[("authorization", "AWS4-HMAC-SHA256 mine"), ("x-amz-region-set", "*"), ("X_Amz_Region_Set", "*")]);
    let mut sending = sending(Some(b""));
    sending.authority = host;
    injection.act(&mut signed, &rendered, &sending).unwrap();
    assert_eq!(signed.headers.get_all("x-amz-region-set").iter().collect::<Vec<_>>(), ["us-*,eu-west-1"]);
    assert!(!signed.headers.contains_key("x_amz_region_set"));
    let authorization = signed.headers["authorization"].to_str().unwrap();
    let expected = "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20261124/s3/aws4_request, \
                    SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-region-set;x-amz-security-token, Signature=30";
    assert!(authorization.starts_with(expected), "{authorization}");
    for (uri, headers) in [
        ("/key?X-Amz-Signature=1&X-Amz-Credential=2", &[][..]),
        ("/key", &[("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")]),
        ("/key", &[("x-amz-content-sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")]),
    ] {
        assert!(injection.act(&mut head(uri, headers), &rendered, &sending).is_err(), "{uri} {headers:?}");
    }
    assert!(complaint("sigv4: { services: [s3], regions: ['*'] }").1.contains("asymmetric"));
    assert!(complaint("sigv4: { services: ['*'], regions: ['*'], asymmetric: true }").0.contains("`services`"));
}
