//! The one line that moves: what is under way, on a terminal. Whatever else is printed takes it away
//! first, from whichever thread.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};

const TICK: Duration = Duration::from_millis(100);

/// Shared by all that prints.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveLine(Arc<Mutex<Option<Drawn>>>);

#[derive(Debug)]
struct Drawn {
    bar: ProgressBar,
    /// Put back when the line goes.
    _echo: Option<Unechoed>,
}

impl LiveLine {
    /// Draws it; it moves by itself from then on.
    pub(super) fn draw(&self, look: impl FnOnce(&ProgressBar)) {
        if let Ok(mut slot) = self.0.lock() {
            let first = slot.is_none();
            let drawn = slot.get_or_insert_with(|| Drawn {
                _echo: Unechoed::now(),
                bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
            });
            look(&drawn.bar);
            if first {
                drawn.bar.enable_steady_tick(TICK);
            }
        }
    }

    /// Takes it away.
    pub(super) fn clear(&self) {
        if let Ok(mut slot) = self.0.lock()
            && let Some(drawn) = slot.take()
        {
            drawn.bar.finish_and_clear();
        }
    }
}

/// While this lives, the terminal does not write `^C` for Ctrl-C: the cursor stands at the end of a
/// full line, two more signs move it to the next, and the line above could not be taken away.
#[derive(Debug)]
struct Unechoed;

impl Unechoed {
    /// `None` where there is nobody at the terminal, or it writes no such thing.
    fn now() -> Option<Self> {
        echo_of_control_keys(false).then_some(Self)
    }
}

impl Drop for Unechoed {
    fn drop(&mut self) {
        echo_of_control_keys(true);
    }
}

/// Whether it was changed. In the background the terminal is not ours to change.
fn echo_of_control_keys(wanted: bool) -> bool {
    let terminal = std::io::stdin();
    if tcgetpgrp(&terminal).ok() != Some(getpgrp()) {
        return false;
    }
    let Ok(mut modes) = tcgetattr(&terminal) else {
        return false;
    };
    if modes.local_modes.contains(LocalModes::ECHOCTL) == wanted {
        return false;
    }
    modes.local_modes.set(LocalModes::ECHOCTL, wanted);
    tcsetattr(&terminal, OptionalActions::Now, &modes).is_ok()
}
