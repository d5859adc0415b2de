//! The defences, and how each is taken away: a piece of the source, what takes its place, and the test that must fail then. That one piece
//! can be taken away alone is what shows that the suite sees it. Nothing of this is in the product: the program `defences` applies it to a copy.

/// One defence, taken away.
#[derive(Clone, Copy, Debug)]
pub struct Removal {
    /// Its name.
    pub name: &'static str,
    /// What is no longer done.
    pub without: &'static str,
    /// The file, from the root of the repository.
    pub file: &'static str,
    /// What stands there; exactly once.
    pub from: &'static str,
    /// What stands there instead.
    pub to: &'static str,
    /// The test of the suite that fails then.
    pub test: &'static str,
}

const GATE: &str = "proxy/src/accept/gate.rs";
const HEAD: &str = "proxy/src/forward/head.rs";
const EXCHANGE: &str = "proxy/src/exchange.rs";
const SPENT: &str = "proxy/src/exchange/spent.rs";
const LINE: &str = "proxy/src/exchange/line.rs";
const DIAL: &str = "proxy/src/forward/dial.rs";
const SCRUB: &str = "proxy/src/scrub.rs";
const UI_GUARD: &str = "proxy/src/ui/guard.rs";
const UI_SESSION: &str = "proxy/src/ui/session.rs";

/// The table.
pub const REMOVALS: &[Removal] = &[
    Removal {
        name: "one-destination",
        without: "target, Host, :authority and tunnel need not name the same destination",
        file: GATE,
        from: "if one.0 == other.0 && port(one) == port(other) {",
        to: "if one.0 == other.0 || port(one) != 0 {",
        test: "destination::nothing_that_is_written_chooses_another_destination",
    },
    Removal {
        name: "single-host",
        without: "of several Host fields the first one counts",
        file: GATE,
        from: "(Some(_), Some(_)) => Err(bad(\"there is more than one Host field\")),",
        to: "(Some(only), Some(_)) => only.to_str().map_err(|_| bad(\"the Host field is not a host\")),",
        test: "destination::nothing_that_is_written_chooses_another_destination",
    },
    Removal {
        name: "no-web-page",
        without: "a page in a browser may use a route",
        file: GATE,
        from: "if from_page || headers",
        to: "if from_page && headers",
        test: "paths::what_the_application_sends_never_arrives_beside_ours",
    },
    Removal {
        name: "one-coding",
        without: "any transfer coding is carried",
        file: GATE,
        from: "        _ => Err(Refusal::new(Code::CodingNotCarried, \"`chunked` alone is carried\")),",
        to: "        _ => Ok(()),",
        test: "framing::two_readers_cut_every_request_alike",
    },
    Removal {
        name: "listed-methods",
        without: "any method is carried",
        file: GATE,
        from: "if !destination::is_listed(&head.method) {",
        to: "if head.method.as_str().is_empty() {",
        test: "framing::two_readers_cut_every_request_alike",
    },
    Removal {
        name: "server-name",
        without: "the TLS server name may be another than that of the CONNECT",
        file: "proxy/src/accept/connect.rs",
        from: "if !names(&bound.host, start.client_hello().server_name()) {",
        to: "if !names(&bound.host, None) {",
        test: "destination::a_server_name_other_than_that_of_the_connect_gets_no_certificate",
    },
    Removal {
        name: "first-byte",
        without: "what follows a CONNECT may be anything",
        file: "proxy/src/accept/connect.rs",
        from: "if first != HANDSHAKE {",
        to: "if first != HANDSHAKE && first == u8::MAX {",
        test: "destination::a_host_with_a_credential_is_never_tunnelled_blind",
    },
    Removal {
        name: "refused-connect-closes",
        without: "a refused CONNECT leaves its connection open",
        file: EXCHANGE,
        from: "response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static(\"close\"));",
        to: "",
        test: "destination::nothing_that_is_written_chooses_another_destination",
    },
    Removal {
        name: "address-guard",
        without: "any address is dialled",
        file: DIAL,
        from: "guard::check(address.ip(), &dial.allow_ips).map_err(|bad| address_refused(dial, bad))?;",
        to: "let _ = guard::check(address.ip(), &dial.allow_ips).map_err(|bad| address_refused(dial, bad));",
        test: "destination::a_name_that_was_rebound_to_this_host_is_not_dialled",
    },
    Removal {
        name: "loop-guard",
        without: "keygress dials its own listeners",
        file: DIAL,
        from: "if leads_to(&self.own, address) {",
        to: "if leads_to(&self.own, address) && address.port() == 0 {",
        test: "destination::what_leads_back_to_the_proxy_itself_is_not_dialled",
    },
    Removal {
        name: "alt-svc",
        without: "the upstream may lead the caller past the proxy",
        file: HEAD,
        from: "leave(headers, |name| is_hop_by_hop(name) || name == header::ALT_SVC);",
        to: "leave(headers, is_hop_by_hop);",
        test: "destination::a_redirect_is_the_callers_to_follow_and_carries_no_credential_there",
    },
    Removal {
        name: "hop-by-hop",
        without: "what Connection nominates travels on",
        file: HEAD,
        from: "    leave_nominated(headers);\n    leave(headers, |name| is_hop_by_hop(name) || name == header::CONTENT_LENGTH",
        to: "    leave(headers, |name| is_hop_by_hop(name) || name == header::CONTENT_LENGTH",
        test: "framing::two_readers_cut_every_request_alike",
    },
    Removal {
        name: "overrides",
        without: "fields that name another method or path travel on",
        file: EXCHANGE,
        from: "head::leave_overrides(&mut head.headers);",
        to: "",
        test: "paths::a_path_has_one_reading_or_none",
    },
    Removal {
        name: "request-trailers",
        without: "all trailers of a request travel on",
        file: "proxy/src/body.rs",
        from: "Self::stream(incoming, Trailers::Only(trailers.to_vec()), Some(IDLE_TIMEOUT), (None, None))",
        to: "Self::stream(incoming, if trailers.is_empty() { Trailers::Only(Vec::new()) } else { Trailers::Pass }, Some(IDLE_TIMEOUT), (None, None))",
        test: "framing::two_readers_cut_every_request_alike",
    },
    Removal {
        name: "canonical-path",
        without: "a path may have more than one reading",
        file: "policy/src/destination/path.rs",
        from: "    if is_plain(path.as_bytes()) {\n        return None;",
        to: "    if is_plain(path.as_bytes()) || !path.is_empty() {\n        return None;",
        test: "paths::a_path_has_one_reading_or_none",
    },
    Removal {
        name: "own-credentials",
        without: "the application's credentials in other slots travel on",
        file: SPENT,
        from: "        record.stripped(strip(head, &grant.rule.forward, Some(&credential.injection)));\n",
        to: "",
        test: "paths::what_the_application_sends_never_arrives_beside_ours",
    },
    Removal {
        name: "placeholder",
        without: "any value in the slot counts as the placeholder",
        file: "policy/src/inject/mod.rs",
        from: "Some(placeholder) if !placeholder.is_empty() && inner.holds(head, placeholder) => Ok(()),",
        to: "Some(placeholder) if !placeholder.is_empty() => Ok(()),",
        test: "sharing::a_placeholder_opens_nothing_for_another",
    },
    Removal {
        name: "pool-partition",
        without: "a connection to an upstream serves whoever asks next",
        file: LINE,
        from: "            holder: self.holder.clone(),\n            workload: self.lineage,",
        to: "            holder: Holder::Shared,\n            workload: None,",
        test: "sharing::a_connection_that_one_identity_opened_serves_no_other",
    },
    Removal {
        name: "slot-partition",
        without: "what was minted for one serves all",
        file: LINE,
        from: "if credential.source.is_static() { Holder::Shared } else { self.holder.clone() };",
        to: "if credential.source.is_static() { self.holder.clone() } else { Holder::Workload(\"any\".into()) };",
        test: "sharing::a_token_that_was_minted_for_one_is_put_on_for_no_other",
    },
    Removal {
        name: "ended-task",
        without: "the connections of a task that ended go on asking",
        file: LINE,
        from: "Some(task) if !task.is_running() => Err(",
        to: "Some(task) if !task.is_running() && task.task.id.is_empty() => Err(",
        test: "sharing::the_token_of_a_task_that_ended_opens_nothing_nor_do_its_connections",
    },
    Removal {
        name: "only-to",
        without: "a rule may send a credential anywhere",
        file: "policy/src/compile/rules.rs",
        from: "if credential.only_to.binary_search(host).is_err() && !credential",
        to: "if credential.only_to.is_empty() && !credential",
        test: "control::a_rule_does_not_widen_where_a_credential_may_go",
    },
    Removal {
        name: "revocation",
        without: "what was revoked is used on",
        file: "proxy/src/stops/mod.rs",
        from: "map_or(Ok(()), |order| Err(refusal(order)))",
        to: "map_or(Ok(()), |order| Err(refusal(order))).or(Ok(()))",
        test: "control::a_revocation_that_was_acknowledged_is_in_force_by_every_way",
    },
    Removal {
        name: "scrub-body",
        without: "bodies of answers are not searched",
        file: SCRUB,
        from: "Depth::Whole => Ok(Sieve::of_body(needles, fields, uncoded(response).map_err(unscrubbable)?)),",
        to: "Depth::Whole => uncoded(response).map_err(unscrubbable).map(|_| Sieve::of_fields(needles, fields)),",
        test: "returning::what_is_cut_between_chunks_is_masked",
    },
    Removal {
        name: "scrub-fields",
        without: "fields of answers are not searched",
        file: SCRUB,
        from: "let fields = head::fields(needles, response.headers_mut());",
        to: "let fields = head::fields(needles, &mut http::HeaderMap::new());",
        test: "returning::what_is_echoed_in_fields_of_the_answer_is_masked",
    },
    Removal {
        name: "unscrubbable",
        without: "what cannot be searched passes",
        file: SCRUB,
        from: "        Err(why) => Err(why),\n",
        to: "        Err(_) => Ok(None),\n",
        test: "returning::what_cannot_be_searched_is_refused",
    },
    Removal {
        name: "searchable-requests",
        without: "the application may ask for ranges and codings that cannot be searched",
        file: SPENT,
        from: "scrub::ask(&mut head.headers);",
        to: "let _ = scrub::ask;",
        test: "returning::the_workload_cannot_ask_for_what_cannot_be_searched",
    },
    Removal {
        name: "unasked-upgrade",
        without: "any 101 of the upstream opens a tunnel",
        file: "proxy/src/forward/upgrade.rs",
        from: "let caller = caller.ok_or_else(|| Refusal::new(Code::UpstreamFailed, \"the destination answered 101, and no upgrade was asked for\"))?;",
        to: "let Some(caller) = caller else { return Ok(Response::from_parts(response.into_parts().0, Body::Empty)) };",
        test: "returning::an_answer_that_nobody_can_read_is_a_failure",
    },
    Removal {
        name: "reset-limit",
        without: "streams may be reset without end",
        file: "proxy/src/accept/serve.rs",
        from: ".max_pending_accept_reset_streams(20)",
        to: ".max_pending_accept_reset_streams(1_000_000).max_local_error_reset_streams(None)",
        test: "exhaustion::a_rapid_reset_ends_the_connection",
    },
    Removal {
        name: "stream-limit",
        without: "a connection may hold any number of streams",
        file: "proxy/src/accept/serve.rs",
        from: ".max_concurrent_streams(100)",
        to: ".max_concurrent_streams(100_000)",
        test: "exhaustion::streams_beyond_the_limit_are_refused",
    },
    Removal {
        name: "page-name",
        without: "the admin page answers to any name that leads to it",
        file: UI_GUARD,
        from: "if uri.authority().is_some() || one(headers, &HOST)? != Some(&*self.authority) {",
        to: "if uri.authority().is_some() {",
        test: "page::another_name_for_this_host_is_refused",
    },
    Removal {
        name: "page-origin",
        without: "the admin page takes orders of other pages",
        file: UI_GUARD,
        from: "Some(origin) if origin == self.origin => Ok(()),",
        to: "Some(_) => Ok(()),",
        test: "page::another_page_in_the_browser_is_refused",
    },
    Removal {
        name: "page-proofs",
        without: "either proof of a session is enough for the admin page",
        file: UI_SESSION,
        from: "if !(cookie & bearer) {",
        to: "if !(cookie | bearer) {",
        test: "page::neither_proof_is_enough_alone",
    },
    Removal {
        name: "page-link",
        without: "the link of the admin page opens again and again",
        file: UI_SESSION,
        from: "*state = State::Open(Open { proofs: kept, user, idle_at: now + IDLE_TIME, until: now + SESSION_TIME });",
        to: "let _ = (kept, user, now);",
        test: "page::the_link_opens_once_and_without_a_session_there_is_nothing",
    },
    Removal {
        name: "page-list",
        without: "the admin page may ask for whatever the admin socket has",
        file: "proxy/src/ui/relay.rs",
        from: "            _ if !is_read && !is_ordered => return Err(Refused::new(StatusCode::NOT_FOUND, \"the page asks for no such thing\")),\n",
        to: "            (&Method::POST, None) => path.to_owned(),\n",
        test: "page::reading_changes_nothing_and_only_what_is_listed_is_asked_for",
    },
];
