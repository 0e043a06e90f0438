//! The real process, sealed: what the kernel says of it, and what it says of itself.

#![allow(clippy::unwrap_used)]

mod common;

use common::Site;

#[test]
fn the_kernel_holds_the_server() {
    let site = Site::new();
    let server = site.serve();
    let status = fs_err::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    // 2: filters are installed.
    assert_eq!((of("Seccomp:"), of("NoNewPrivs:")), (Some("2"), Some("1")), "{status}");
}

#[test]
fn doctor_says_what_holds() {
    let egress = Site::new().run(&["doctor", "--quick"]).json["egress"].clone();
    assert_eq!(egress["sealed"], true, "{egress}");
    let by = egress["by"].to_string();
    assert!(by.contains("seccomp: connecting ends the process"), "{by}");
    let egress = Site::new().run(&["doctor", "--quick", "--unsealed"]).json["egress"].clone();
    assert!(!egress["by"].to_string().contains("seccomp"), "{egress}");
}
