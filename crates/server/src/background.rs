//! Who waits where all cores are busy? What computes for seconds gives way to what a person or a sender waits for.

/// How much later than others a thread that gives way gets its turn: about a tenth of a core is left to it beside another.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Lets other threads go before the calling one, and before those that it starts from now on. There is no way back.
pub fn give_way() {
    // Of Linux alone is it the thread, and not the process, that this is about.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "a thread that computes has the priority of others: pages may wait for it");
    }
}
