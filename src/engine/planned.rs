//! A script's plans without a run: for EXPLAIN of a whole script, and for a replay of its queries.

use super::coordinator::Coordinator;
use super::data_dir::registry_dir;
use super::describe::indent;
use super::draft::{Base, Draft};
use super::facts::Facts;
use super::outcome::{ConnectorInfo, Outcome, SourceDescription};
use super::replay::Planned;
use super::session::{OFFSET_RESET, Session};
use super::shared::Shared;
use super::sinks::infos;
use super::world::World;
use super::{AnswerLimits, Limits};
use crate::error::Result;
use crate::plan::explain::explain;
use crate::plan::{DataflowPlan, Emission};
use crate::registry::{Client, Lookups};
use crate::sql::ast::{Parsed, Statement};
use crate::sql::parse_statement;
use crate::topology::{Placed, Topology};
use std::path::Path;
use std::sync::Arc;

/// Plans as a run from the beginning would; no cluster is asked, nothing is registered. `data_dir`: of a run or a
/// gateway, for the schemas that are registered there.
fn planner(topology: &Topology, data_dir: Option<&Path>) -> Result<(Coordinator, Session)> {
    let client = Client::planning(topology.registry.as_ref(), data_dir.map(registry_dir).as_deref())?;
    let base = Base {
        shared: Arc::new(Shared::new(0, 1, 1, Limits::default())),
        topology: topology.clone(),
        placed: Placed::new(&topology.zones, "DATA".as_ref(), &client).for_plans(),
        gateway: Default::default(),
        schemas: Lookups::new(client),
        data_dir: "DATA".into(),
        once: true,
        emission: Emission::default(),
        dry: true,
        push_queries_max: AnswerLimits::default().push_queries,
        sinks: Default::default(),
    };
    let mut session = Session::default();
    session.set(OFFSET_RESET, "earliest")?;
    Ok((Coordinator::new(base, None), session))
}

/// The streams and tables that a script would make, with the queries between them, and the sinks behind them.
pub fn described_script(
    statements: &[Parsed],
    topology: &Topology,
    data_dir: Option<&Path>,
) -> Result<(Vec<SourceDescription>, Vec<ConnectorInfo>)> {
    let (_, coordinator) = plan_script(statements, topology, data_dir)?;
    let mut all = Vec::new();
    for text in ["SHOW STREAMS EXTENDED", "SHOW TABLES EXTENDED"] {
        let shown = coordinator.execute(&parse_statement(text)?, &mut Session::default())?;
        if let Outcome::Sources(sources) = shown {
            all.extend(sources);
        }
    }
    Ok((all, infos(&coordinator.world(), &coordinator.base.sinks)))
}

/// The plans of all queries of a script, as they would run.
pub fn explain_script(statements: &[Parsed], topology: &Topology, data_dir: Option<&Path>) -> Result<String> {
    Ok(plan_script(statements, topology, data_dir)?.0)
}

/// Carries out a script without reading or writing anything; its plans as text.
fn plan_script(
    statements: &[Parsed],
    topology: &Topology,
    data_dir: Option<&Path>,
) -> Result<(String, Coordinator)> {
    let (coordinator, mut session) = planner(topology, data_dir)?;
    let mut out = String::new();
    for parsed in statements {
        match &parsed.statement {
            Statement::InsertValues { .. }
            | Statement::Show(_)
            | Statement::Describe { .. }
            | Statement::DescribeAll { .. }
            | Statement::DescribeFunction { .. }
            | Statement::Assert { .. }
            | Statement::DescribeConnector { .. }
            | Statement::Print { .. }
            | Statement::Terminate { .. }
            | Statement::Pause { .. }
            | Statement::Resume { .. } => continue,
            Statement::Select(_) => {
                let explain = Statement::ExplainStatement(Box::new(parsed.clone()));
                let explain = Parsed { statement: explain, ..parsed.clone() };
                if let Outcome::Explanation(explanation) = coordinator.execute(&explain, &mut session)? {
                    out.push_str(&format!("query (answered once)\n{}\n", indent(&explanation.plan)));
                }
            }
            _ => drop(coordinator.execute(parsed, &mut session)?),
        }
    }
    coordinator.plan_sinks()?;
    let (world, facts) = (coordinator.world(), Facts::default());
    let draft = Draft::new(&coordinator.base, World::clone(&world), &facts);
    for plan in &world.waiting {
        let columns = match plan.as_ref() {
            DataflowPlan::Query(q) if q.query == "WHARFE_BOOKS" => continue,
            DataflowPlan::Query(q) => {
                let reads: Vec<String> = q.inputs.iter().map(|input| input.source.clone()).collect();
                draft.row_names(&q.select, &reads)
            }
            DataflowPlan::Source(_) => Vec::new(),
        };
        out.push_str(&explain(plan, &columns));
        out.push('\n');
    }
    Ok((out, coordinator))
}

impl Planned {
    /// Plans a script as a run would; nothing is read, and queries that are answered once are left out.
    pub fn script(statements: &[Parsed], topology: &Topology) -> Result<Planned> {
        let (coordinator, mut session) = planner(topology, None)?;
        for parsed in statements {
            use Statement::*;
            if let CreateSource { .. } | CreateAs { .. } | InsertSelect { .. } | Set { .. } | Unset { .. } =
                parsed.statement
            {
                coordinator.execute(parsed, &mut session)?;
            }
        }
        let mut world = World::clone(&coordinator.world());
        let waiting = std::mem::take(&mut world.waiting);
        world.active.extend(waiting.iter().map(|plan| (plan.id(), Arc::clone(plan))));
        let plans = waiting.into_iter().map(Arc::unwrap_or_clone).collect();
        Ok(Planned { plans, wanted: world.changed_wants() })
    }
}
