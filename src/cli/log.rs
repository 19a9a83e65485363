//! What the engine has to say while it runs: a line each on standard error.

use tracing_subscriber::fmt::time::ChronoLocal;

/// From now on lines are written.
pub fn begin() {
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    // Somebody who embeds this may have said where they go before.
    let _ = lines.with_timer(ChronoLocal::new("%H:%M:%S".into())).try_init();
}
