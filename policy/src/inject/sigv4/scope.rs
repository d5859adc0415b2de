use super::super::Complaint;

/// The ends of host names that are AWS's own.
const SUFFIXES: [&str; 5] = [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws", ".on.aws"];

/// Names that services have in hosts, and the names that they sign under.
const ALIASES: [(&str, &str); 15] = [
    ("bedrock-agent", "bedrock"),
    ("bedrock-agent-runtime", "bedrock"),
    ("bedrock-runtime", "bedrock"),
    ("email", "ses"),
    ("git-codecommit", "codecommit"),
    ("lambda-url", "lambda"),
    ("marketplacecommerceanalytics", "aws-marketplace"),
    ("monitoring-fips", "monitoring"),
    ("pinpoint", "mobiletargeting"),
    ("queue", "sqs"),
    ("s3-accesspoint", "s3"),
    ("s3-control", "s3"),
    ("s3-external-1", "s3"),
    ("s3-global", "s3"),
    ("transcribestreaming", "transcribe"),
];

/// For which services and regions the credential may sign: the policy's lists, out of which a destination selects.
#[derive(Debug)]
pub(super) struct Scopes {
    services: Vec<String>,
    regions: Vec<String>,
}

/// For what one request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope<'p> {
    pub(super) region: &'p str,
    pub(super) service: &'p str,
}

/// What the host of an AWS endpoint says.
#[derive(Debug, PartialEq, Eq)]
struct Endpoint<'h> {
    service: &'h str,
    /// `None` for endpoints of no region.
    region: Option<&'h str>,
}

impl Scope<'_> {
    /// S3 and what speaks like it: paths are signed as they are, and the hash of the body is a header.
    pub(super) fn is_s3(self) -> bool {
        self.service == "s3" || self.service.starts_with("s3-")
    }
}

impl Scopes {
    pub(super) fn compile(services: &[String], regions: &[String]) -> Result<Self, Complaint> {
        let scopes = Self::of_names(services, regions)?;
        match regions.iter().find(|region| region.contains('*')) {
            Some(set) => Err((format!("`{set}` is not a name for `regions`"), "name each region, or say `asymmetric: true`".to_owned())),
            None => Ok(scopes),
        }
    }

    /// The regions may be sets here: `*`, or `us-*`.
    pub(super) fn of_sets(services: &[String], regions: &[String]) -> Result<Self, Complaint> {
        Self::of_names(services, regions)
    }

    fn of_names(services: &[String], regions: &[String]) -> Result<Self, Complaint> {
        let plain = |text: &String| {
            let name = text.strip_suffix('*').unwrap_or(text);
            !text.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        for (key, list, example) in [("services", services, "[s3]"), ("regions", regions, "[eu-west-1]")] {
            if list.is_empty() {
                return Err((format!("`{key}` lists nothing"), format!("list what may be signed for, such as `{key}: {example}`")));
            }
            if let Some(wrong) = list.iter().find(|text| !plain(text) || key == "services" && text.contains('*')) {
                return Err((format!("`{wrong}` is not a name for `{key}`"), format!("use AWS's own names, such as `{key}: {example}`")));
            }
        }
        Ok(Self { services: services.to_vec(), regions: regions.to_vec() })
    }

    /// What a request to this authority is signed for. The only one of a list is taken, unless the host of AWS names another region;
    /// among several the host of AWS selects.
    pub(super) fn of(&self, authority: &str) -> Result<Scope<'_>, String> {
        let endpoint = endpoint(host(authority));
        let region = match (self.regions.as_slice(), &endpoint) {
            (list, Some(Endpoint { region: Some(region), .. })) => list
                .iter()
                .find(|listed| listed == region)
                .ok_or_else(|| format!("`{authority}` is in `{region}`, which `regions` does not list"))?,
            ([only], _) => only,
            (list, Some(Endpoint { region: None, .. })) => {
                let home = home(authority);
                let listed = list.iter().find(|listed| *listed == home);
                listed.ok_or_else(|| format!("`{authority}` signs for `{home}`, which `regions` does not list"))?
            }
            (_, None) => return Err(format!("`{authority}` names no region of AWS, and `regions` lists several")),
        };
        Ok(Scope { region, service: self.service_of(authority, endpoint.as_ref())? })
    }

    /// The service of a request that is signed for all the regions of the set, which must hold that of the host, where it names one.
    pub(super) fn service(&self, authority: &str) -> Result<&str, String> {
        let endpoint = endpoint(host(authority));
        let holds = |region: &str| {
            self.regions.iter().any(|listed| listed.strip_suffix('*').map_or(listed == region, |prefix| region.starts_with(prefix)))
        };
        if let Some(region) = endpoint.as_ref().and_then(|endpoint| endpoint.region).filter(|region| !holds(region)) {
            return Err(format!("`{authority}` is in `{region}`, which `regions` does not list"));
        }
        self.service_of(authority, endpoint.as_ref())
    }

    /// The regions as AWS writes a set of them.
    pub(super) fn region_set(&self) -> String {
        self.regions.join(",")
    }

    fn service_of(&self, authority: &str, endpoint: Option<&Endpoint<'_>>) -> Result<&str, String> {
        Ok(match (self.services.as_slice(), endpoint) {
            ([only], _) => only,
            (list, Some(Endpoint { service, .. })) => list
                .iter()
                .find(|listed| listed == service)
                .ok_or_else(|| format!("`{authority}` is of `{service}`, which `services` does not list"))?,
            (_, None) => return Err(format!("`{authority}` names no service of AWS, and `services` lists several")),
        })
    }
}

fn host(authority: &str) -> &str {
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

/// Where services without a region sign.
fn home(authority: &str) -> &'static str {
    if host(authority).ends_with(".cn") { "cn-north-1" } else { "us-east-1" }
}

/// Reads the host of an AWS endpoint from its end: names before it, such as those of buckets, are anybody's choice.
fn endpoint(host: &str) -> Option<Endpoint<'_>> {
    let name = SUFFIXES.iter().find_map(|suffix| host.strip_suffix(suffix))?;
    let mut labels = name.rsplit('.').filter(|label| !matches!(*label, "dualstack" | "vpce"));
    let (last, before) = (labels.next()?, labels.next());
    let (service, region) = match before {
        Some(before) if is_region(last) => (before, Some(last)),
        Some(before) if is_region(before) => (last, Some(before)),
        Some(_) | None => match last.strip_prefix("s3-").filter(|rest| is_region(rest)) {
            Some(region) => ("s3", Some(region)),
            None => (last, None),
        },
    };
    let service = service.strip_suffix("-fips").unwrap_or(service);
    let alias = ALIASES.iter().find(|(name, _)| *name == service);
    Some(Endpoint { service: alias.map_or(service, |(_, signs)| signs), region })
}

/// Whether a label looks like a region: `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<&str> = label.split('-').collect();
    match parts.as_slice() {
        [area, middle @ .., number] if !middle.is_empty() => {
            let letters = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
            let compass =
                middle.last().is_some_and(|last| ["north", "south", "east", "west", "central"].iter().any(|point| last.contains(point)));
            letters(area) && middle.iter().all(letters) && compass && number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(services: &[&str], regions: &[&str]) -> Scopes {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Scopes::compile(&owned(services), &owned(regions)).unwrap()
    }

    #[test]
    fn hosts_of_aws_are_read_from_their_end() {
        for (host, service, region) in [
            ("dynamodb.eu-west-1.amazonaws.com", "dynamodb", Some("eu-west-1")),
            ("acme.s3.eu-west-1.amazonaws.com", "s3", Some("eu-west-1")),
            ("us-east-1.s3.eu-west-1.amazonaws.com", "s3", Some("eu-west-1")),
            ("a.b.s3.dualstack.eu-west-1.amazonaws.com", "s3", Some("eu-west-1")),
            ("acme.s3-eu-west-1.amazonaws.com", "s3", Some("eu-west-1")),
            ("s3-fips.us-gov-west-1.amazonaws.com", "s3", Some("us-gov-west-1")),
            ("acme.s3.amazonaws.com", "s3", None),
            ("sts.amazonaws.com", "sts", None),
            ("x1.execute-api.eu-west-1.amazonaws.com", "execute-api", Some("eu-west-1")),
            ("search-x.eu-west-1.es.amazonaws.com", "es", Some("eu-west-1")),
            ("x.lambda-url.eu-west-1.on.aws", "lambda", Some("eu-west-1")),
            ("dynamodb.eu-west-1.api.aws", "dynamodb", Some("eu-west-1")),
            ("s3.cn-north-1.amazonaws.com.cn", "s3", Some("cn-north-1")),
            ("vpce-1-2.s3.eu-west-1.vpce.amazonaws.com", "s3", Some("eu-west-1")),
            ("bedrock-runtime.ap-southeast-2.amazonaws.com", "bedrock", Some("ap-southeast-2")),
            ("api.ecr.ap-northeast-1.amazonaws.com", "ecr", Some("ap-northeast-1")),
            ("sqs.eusc-de-east-1.amazonaws.eu", "sqs", Some("eusc-de-east-1")),
        ] {
            assert_eq!(endpoint(host), Some(Endpoint { service, region }), "{host}");
        }
        for host in ["minio.example.com", "amazonaws.com", "s3.eu-west-1.amazonaws.com.evil.test", "notamazonaws.com"] {
            assert_eq!(endpoint(host), None, "{host}");
        }
    }

    #[test]
    fn a_destination_selects_among_the_listed_and_never_beyond() {
        let several = scopes(&["s3", "dynamodb"], &["eu-west-1", "us-east-1"]);
        assert_eq!(several.of("dynamodb.us-east-1.amazonaws.com"), Ok(Scope { region: "us-east-1", service: "dynamodb" }));
        assert_eq!(several.of("acme.s3.amazonaws.com:443"), Ok(Scope { region: "us-east-1", service: "s3" }));
        for host in ["sqs.eu-west-1.amazonaws.com", "s3.eu-west-2.amazonaws.com", "minio.example.com", "127.0.0.1:9000", "[::1]:9000"] {
            assert!(several.of(host).is_err(), "{host}");
        }
        let one = scopes(&["s3"], &["eu-west-1"]);
        for host in ["minio.example.com:9000", "127.0.0.1:9000", "acme.s3.eu-west-1.amazonaws.com", "acme.s3.amazonaws.com", "[::1]:9000"] {
            assert_eq!(one.of(host), Ok(Scope { region: "eu-west-1", service: "s3" }), "{host}");
        }
        assert!(one.of("acme.s3.eu-west-2.amazonaws.com").is_err());
    }

    #[test]
    fn lists_hold_names_of_aws() {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (services, regions) in
            [(&[][..], &["eu-west-1"][..]), (&["s3"], &[]), (&["S3"], &["eu-west-1"]), (&["s3"], &["*"]), (&["s3"], &["a/b"])]
        {
            assert!(Scopes::compile(&owned(services), &owned(regions)).is_err(), "{services:?} {regions:?}");
        }
    }
}
