//! The example that keygress is introduced with.

use crate::provider::{codes, policy};

const EXAMPLE: &str = r#"
version: 1

workloads:
  billing: { kubernetes: { namespace: payments, service_account: billing } }
  backup:  { process: { user: backup, unit: restic.service } }
  agent:   { task: { labels: { kind: coding-agent } } }

credentials:
  stripe:
    owner: payments@example.com
    labels: { stage: production }
    static: { reason: no federation offered, expires: 2027-01-31 }
    source: { file: /run/secrets/stripe }
    inject: bearer
    only_to: [api.stripe.com]
    placeholder: { env: STRIPE_API_KEY, like: sk_test_ }
  github:
    owner: platform@example.com
    source: { exec: { command: [mint-github-token] } }
    inject: bearer
    only_to: [api.github.com]
  backups:
    owner: data@example.com
    source: { oauth2_client_credentials: { token_url: https://login.example.com/token } }
    inject: bearer
    only_to: ["*.s3.eu-west-1.amazonaws.com"]

rules:
  charge-cards:
    from: [billing]
    to: https://api.stripe.com
    allow:
      - POST /v1/charges
      - GET /v1/charges/{id}
    credential: stripe
    limit: { rate: 50/s, per: workload }
  agent-reads-code:
    from: [agent]
    to: https://api.github.com
    allow: [GET /repos/acme/api/**]
    except: [GET /repos/acme/api/actions/secrets/**]
    credential: github
  backup-writes:
    from: [backup]
    to: https://acme-backups.s3.eu-west-1.amazonaws.com
    allow: [PUT /**, GET /**]
    credential: backups
  docs:
    from: any
    to: https://docs.example.com
    allow: [GET /**]

tests:
  - { request: POST https://api.stripe.com/v1/charges, from: billing, expect: { rule: charge-cards, credential: stripe } }
  - { request: POST https://api.stripe.com/v1/refunds, from: billing, expect: deny }
"#;

#[test]
fn it_compiles_without_a_word_and_passes_its_tests() {
    assert_eq!(codes(EXAMPLE), [""; 0]);
    let outcomes = policy(EXAMPLE).run_tests();
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes.iter().all(|outcome| outcome.failure.is_none()));
}
