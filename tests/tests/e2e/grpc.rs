//! gRPC on the C core, through `CONNECT`: unary, streams both ways, trailers, status codes.

use keygress_tests::client::output;
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::grpc::Grpc;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;
use serde_json::{Value, json};

use crate::world::policy;

#[test]
fn calls_streams_and_trailers_pass() {
    let site = Site::new().unwrap();
    let grpc = Grpc::start(&site, "echo.test").unwrap();
    let key = canary().unwrap();
    let rules = format!(
        "  grpc:
    from: any
    to: https://echo.test:{}
    allow_ips: [127.0.0.0/8]
    allow: [POST /echo.Echo/Say, POST /echo.Echo/Count, POST /echo.Echo/Converse]
    credential: key
",
        grpc.port
    );
    let proxy = Proxy::start(&site, &policy(&site, &key, &rules)).unwrap();
    let mut client = proxy.client(tools::python().unwrap());
    client.arg(tools::root().join("tests/clients/grpc_client.py")).arg(format!("echo.test:{}", grpc.port));
    let printed = output(&mut client).unwrap();
    let calls: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    assert_eq!(
        (&calls[0]["code"], &calls[0]["reply"], &calls[0]["trailers"]["x-count"]),
        (&json!("OK"), &json!("said hello"), &json!("3"))
    );
    assert_eq!((&calls[1]["code"], &calls[1]["details"]), (&json!("FAILED_PRECONDITION"), &json!("as asked")));
    assert_eq!((&calls[2]["code"], &calls[2]["replies"]), (&json!("OK"), &json!(["0", "1", "2"])));
    assert_eq!((&calls[3]["code"], &calls[3]["replies"]), (&json!("OK"), &json!(["heard one", "heard two"])));
    // gRPC reads a plain 403 as this.
    assert_eq!(calls[4]["code"], json!("PERMISSION_DENIED"), "{printed}");
    assert_eq!(grpc.authorizations(), vec![format!("Bearer {key}"); 4]);
}
