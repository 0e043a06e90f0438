//! Who waits where all cores are busy? What computes for seconds gives way to what a person or a sender waits for.

use std::net::IpAddr;
use std::time::Duration;

/// How much later than others a thread that gives way gets its turn: about a tenth of a core is left to it beside another.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// How long models rest for a page: until it is made, and where it is read on this machine, until the browser has laid it out.
const TO_MAKE: Duration = Duration::from_millis(60);
const TO_LAY_OUT: Duration = Duration::from_millis(300);

/// Lets other threads go before the calling one, and before those that it starts from now on. There is no way back.
pub fn give_way() {
    // Of Linux alone is it the thread, and not the process, that this is about.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "a thread that computes has the priority of others: pages may wait for it");
    }
}

/// Lets models rest while a person who is at `source` waits for a page.
pub(crate) fn rest_for_page(source: &str) {
    let is_here = source == "unix" || source.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    casemate_inference::rest(if is_here { TO_LAY_OUT } else { TO_MAKE });
}
