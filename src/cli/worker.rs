//! `lockstorm worker`: what `lockstorm fuzz` starts. Not for people.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::Command;

use super::failure::{Failure, reason};
use super::{Verdict, fuzz, input};
use crate::engine::Mutation;
use crate::engine::message::{Message, send};
use crate::engine::serve::CannotServe;
use crate::engine::worker::{self, CannotStart, Orders};
use crate::scenario::PolicyKind;

/// Run the engine for 'lockstorm fuzz'
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    driver: String,
    #[command(flatten)]
    device: input::Device,
    #[arg(long)]
    seed: u32,
    #[arg(long)]
    runs: Option<u64>,
    #[arg(long, value_parser = fuzz::policy)]
    schedule: Option<PolicyKind>,
    #[arg(long, value_parser = fuzz::mutation)]
    mutation: Mutation,
    #[arg(long)]
    reload: bool,
    #[arg(long)]
    corpus: PathBuf,
    #[arg(long)]
    seeds: Option<PathBuf>,
    #[arg(long)]
    earlier: Option<PathBuf>,
    #[arg(long)]
    recorder: PathBuf,
}

/// The command that runs a worker by these orders; read back in [`run`].
pub(super) fn command(program: &std::path::Path, orders: &Orders) -> Command {
    let mut command = Command::new(program);
    command.arg("worker").args(orders.driver.arguments());
    command.arg(format!("--seed={}", orders.seed));
    if let Some(runs) = orders.runs {
        command.arg(format!("--runs={runs}"));
    }
    if let Some(policy) = orders.policy {
        command.arg(format!("--schedule={}", policy.name()));
    }
    command.arg(format!("--mutation={}", orders.mutation.name()));
    if orders.reload {
        command.arg("--reload");
    }
    command.arg("--corpus").arg(&orders.corpus);
    if let Some(seeds) = &orders.seeds {
        command.arg("--seeds").arg(seeds);
    }
    if let Some(earlier) = &orders.earlier {
        command.arg("--earlier").arg(earlier);
    }
    command.arg("--recorder").arg(&orders.recorder);
    command
}

pub(super) fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    if std::io::stdin().is_terminal() {
        return Err(Failure::new("'worker' is what 'lockstorm fuzz' starts; run that instead"));
    }
    let orders = Orders {
        driver: input::driver(&arguments.driver, &arguments.device)?,
        seed: arguments.seed,
        runs: arguments.runs,
        policy: arguments.schedule,
        mutation: arguments.mutation,
        reload: arguments.reload,
        corpus: arguments.corpus.clone(),
        seeds: arguments.seeds.clone(),
        earlier: arguments.earlier.clone(),
        recorder: arguments.recorder.clone(),
    };
    let failure = match worker::run(&orders) {
        Ok(never) => match never {},
        Err(CannotStart::Driver(error)) => input::unusable(&error),
        Err(CannotStart::Cage(why)) => {
            Failure::new(format!("cannot lock up the process that runs the driver: {why}"))
        }
        Err(CannotStart::Recorder(path, error)) => Failure::at("map", &path, reason(&error)),
    };
    // With the parent gone there is nobody to tell.
    let _ = send(&mut std::io::stdout(), &Message::CannotStart { why: failure.line().to_owned() });
    Err(failure)
}

/// How a worker that answers requests ended, as a verdict.
pub(super) fn served(result: Result<(), CannotServe>) -> Result<Verdict, Failure> {
    match result {
        Ok(()) => Ok(Verdict::Clean),
        Err(CannotServe::Cage(_)) => {
            Err(Failure::new("cannot lock up the process that runs the driver"))
        }
        // Nobody is left to tell.
        Err(CannotServe::Parent(_)) => Ok(Verdict::Unusable),
    }
}
