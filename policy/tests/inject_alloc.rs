//! A warm credential is put on without allocating. In a binary of its own: the allocator counts for the whole process.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use http::HeaderMap;
use http::request::Parts;
use keygress_policy::inject::{Injection, Sending, strip};
use keygress_policy::material::{Material, Secret};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; the counter is a thread-local without a destructor and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn head() -> Parts {
    let mut head = http::Request::builder().uri("https://api.test/v1/things?page=2").body(()).unwrap().into_parts().0;
    head.headers = HeaderMap::with_capacity(32);
    for (name, value) in
        [("accept", "*/*"), ("authorization", "Bearer placeholder"), ("user-agent", "test"), ("x-api-key", "mine"), ("cookie", "a=b")]
    {
        head.headers.append(name, value.parse().unwrap());
    }
    head
}

#[test]
fn a_warm_credential_is_put_on_without_allocating() {
    for shape in [
        "bearer: { existing: require_placeholder }",
        "bearer",
        "basic",
        "header: { name: x-api-key }",
        "headers: { set: { x-api-key: '{token}', x-organisation: acme } }",
    ] {
        let injection = Injection::compile(&serde_saphyr::from_str(shape).unwrap()).unwrap();
        let secret = Secret::new(b"secret".to_vec());
        let material = match injection.takes() {
            keygress_policy::material::MaterialKind::Token => Material::Token(secret),
            keygress_policy::material::MaterialKind::UserPassword => Material::UserPassword { user: "user".into(), password: secret },
            other => unreachable!("{other}: signatures are measured apart"),
        };
        let rendered = injection.render(&material).unwrap();
        let placeholder = Secret::new(b"placeholder".to_vec());
        let sending = Sending {
            now: jiff::Timestamp::UNIX_EPOCH,
            nonce: || [0; 16],
            scheme: keygress_policy::destination::Scheme::Https,
            authority: "api.test",
            body: Some(b""),
        };
        injection.act(&mut head(), &rendered, &sending).unwrap();

        let mut head = head();
        let before = ALLOCATIONS.with(Cell::get);
        injection.admit(&head, Some(&placeholder)).unwrap();
        strip(&mut head, &[], Some(&injection));
        injection.act(&mut head, &rendered, &sending).unwrap();
        let after = ALLOCATIONS.with(Cell::get);
        assert_eq!(after - before, 0, "{shape}");
        assert!(head.headers.len() >= 3);
    }
}
