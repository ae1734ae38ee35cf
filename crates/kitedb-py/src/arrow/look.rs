//! The look through a scan that tells what its columns are. What it reads is kept as batches for as long as that is little, so that most
//! scans are read once.

use super::{
    broken,
    columns::{Column, weight},
    kinds::{Kind, Unfit},
    scan::{BYTES, Layout, Own, Places, ROWS, Row, width},
};
use crate::{rows::What, values::Select};
use arrow_array::{
    ArrayRef, RecordBatch,
    cast::AsArray,
    new_null_array,
    types::{Float64Type, Int64Type},
};
use arrow_schema::{DataType, Field, Schema};
use kitedb::{Error, ErrorCode, GraphRead, PropKeyId, Result, ValueRef, View, Watch};
use std::{collections::VecDeque, sync::Arc};

/// About the most bytes that are kept of a look.
const KEPT: usize = 256 << 20;
/// How many rows are looked at before it may be ended.
const PIECE: usize = 1024;

/// A property that is a column.
struct Prop {
    id: Option<PropKeyId>,
    name: String,
    kind: Kind,
}

/// Rows that are kept. Properties that were met later have no column in it.
struct Kept {
    rows: usize,
    own: Vec<ArrayRef>,
    props: Vec<ArrayRef>,
}

struct Look<'v> {
    view: &'v View,
    /// Whether there are no properties but those that were asked for.
    is_closed: bool,
    props: Vec<Prop>,
    places: Places,
    /// The most rows of a batch.
    most: usize,
    /// The batch that is being made: none where nothing is kept any more.
    making: Option<Making>,
    kept: Vec<Kept>,
    kept_bytes: usize,
}

struct Making {
    own: Own,
    /// Of the properties, as far as they were met.
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

/// What the columns of a scan are, and its batches, if they are few.
///
/// # Errors
/// `INVALID_ARGUMENT` where no column can hold the values of a property; those of a read.
pub fn look(
    view: &View,
    what: &What,
    select: &Select,
    watch: &Watch,
) -> Result<(Layout, Option<VecDeque<RecordBatch>>)> {
    let most = (view.count_nodes().max(view.count_edges()) as usize).min(ROWS);
    let mut look = Look {
        view,
        is_closed: select.is_some(),
        props: Vec::new(),
        places: Places::default(),
        most,
        making: None,
        kept: Vec::new(),
        kept_bytes: 0,
    };
    for name in select.iter().flat_map(|names| names.iter()) {
        if !look.props.iter().any(|prop| *prop.name == **name) {
            look.add(view.propkey_id(name), name.to_string());
        }
    }
    look.begin(Own::new(what, most));
    let mut left = 0;
    Row::each(view, what, |row| {
        if left == 0 {
            watch.require_uncancelled()?;
            if view.is_expired() {
                return Err(Error::new(
                    ErrorCode::SnapshotExpired,
                    "this state was held for longer than max_pin_ms allows",
                ));
            }
            left = PIECE;
        }
        left -= 1;
        look.row(row)
    })?;
    look.ended(what)
}

impl Look<'_> {
    fn add(&mut self, id: Option<PropKeyId>, name: String) -> usize {
        if let Some(id) = id {
            self.places.put(id, self.props.len());
        }
        self.props.push(Prop { id, name, kind: Kind::Null });
        self.props.len() - 1
    }

    fn begin(&mut self, own: Own) {
        let rows = self.most.min(BYTES / width(self.props.len()).max(1));
        let columns = self.props.iter().map(|prop| Column::new(&prop.kind, rows)).collect();
        self.making = Some(Making { own, columns, rows: 0, bytes: 0 });
    }

    fn row(&mut self, row: Row<'_, '_>) -> Result<()> {
        if let Some(making) = &mut self.making {
            making.rows += 1;
            making.bytes += making.own.push(&row)?;
        }
        let mut taken = 0;
        match row {
            Row::Node(node) => {
                for prop in node.props()? {
                    let (id, value) = prop?;
                    taken += usize::from(self.take(id, value)?);
                }
            }
            Row::Edge(edge) => {
                for prop in edge.props()? {
                    let (id, value) = prop?;
                    taken += usize::from(self.take(id, value)?);
                }
            }
        }
        let Some(making) = &mut self.making else { return Ok(()) };
        let rows = making.rows;
        if taken < making.columns.len() {
            making.columns.iter_mut().filter(|column| column.len() < rows).for_each(Column::push_null);
        }
        if rows >= self.most || making.bytes + width(making.columns.len()) * rows >= BYTES {
            self.keep()
        } else {
            Ok(())
        }
    }

    /// Takes the value of a property in. Returns whether that is a column.
    #[inline]
    fn take(&mut self, id: PropKeyId, value: ValueRef<'_>) -> Result<bool> {
        let place = match self.places.get(id) {
            Some(place) => place,
            None if self.is_closed => return Ok(false),
            None => self.add(Some(id), self.view.propkey_name(id).unwrap_or_default()),
        };
        let Some(prop) = self.props.get_mut(place) else { return Ok(false) };
        prop.kind.widen(value).map_err(|unfit| refused(&prop.name, &unfit))?;
        let Some(making) = &mut self.making else { return Ok(true) };
        // Properties are met one at a time, and this one may be new.
        if place == making.columns.len() {
            making.columns.push(Column::Null(making.rows - 1));
        }
        let Some(column) = making.columns.get_mut(place) else { return Ok(true) };
        making.bytes += weight(value);
        // A column that holds a part of a value is not of the kind that it is to be: it is not used.
        if !(column.take(value) || column.widened(&prop.kind, making.rows) && column.take(value)) {
            self.give_up();
        }
        Ok(true)
    }

    /// Only looks from now on.
    fn give_up(&mut self) {
        (self.making, self.kept) = (None, Vec::new());
    }

    fn keep(&mut self) -> Result<()> {
        let Some(mut making) = self.making.take() else { return Ok(()) };
        let own = making.own.finish();
        let props: Vec<ArrayRef> =
            making.columns.iter_mut().map(|column| column.finish().map_err(|e| broken(&e))).collect::<Result<_>>()?;
        // Of each value about as much again says where it is, and whether it is there.
        self.kept_bytes += making.bytes + width(own.len() + props.len()) * making.rows;
        if self.kept_bytes > KEPT {
            self.give_up();
            return Ok(());
        }
        self.kept.push(Kept { rows: making.rows, own, props });
        self.begin(making.own);
        Ok(())
    }

    fn ended(mut self, what: &What) -> Result<(Layout, Option<VecDeque<RecordBatch>>)> {
        let is_kept = self.making.is_some();
        if self.making.as_ref().is_some_and(|making| making.rows > 0) {
            self.keep()?;
        }
        let mut fields = Own::fields(what);
        for prop in &self.props {
            let mut name = prop.name.clone();
            while fields.iter().any(|field| *field.name() == name) {
                name.insert_str(0, "props.");
            }
            fields.push(Field::new(name, prop.kind.data_type(), true));
        }
        let schema = Arc::new(Schema::new(fields));
        let kept = self.kept;
        let props: Vec<_> = self.props.into_iter().map(|prop| (prop.id, prop.kind)).collect();
        let batch = |kept: Kept| {
            let Kept { rows, own: mut columns, props: met } = kept;
            for (place, (_, kind)) in props.iter().enumerate() {
                columns.push(as_told(met.get(place), &kind.data_type(), rows)?);
            }
            RecordBatch::try_new(schema.clone(), columns).ok()
        };
        let batches = if is_kept && self.making.is_some() { kept.into_iter().map(batch).collect() } else { None };
        Ok((Layout { schema, props }, batches))
    }
}

/// A column of a batch as one of the type that all batches have; none: only another look at its values makes that.
fn as_told(column: Option<&ArrayRef>, told: &DataType, rows: usize) -> Option<ArrayRef> {
    match column {
        Some(column) if column.data_type() == told => Some(column.clone()),
        Some(column) if *column.data_type() == DataType::Int64 && *told == DataType::Float64 => {
            Some(Arc::new(column.as_primitive::<Int64Type>().unary::<_, Float64Type>(|v| v as f64)))
        }
        Some(column) if *column.data_type() != DataType::Null => None,
        _ => Some(new_null_array(told, rows)),
    }
}

fn refused(name: &str, unfit: &Unfit) -> Error {
    match unfit {
        Unfit::Kind(kind) => Error::invalid(format_args!(
            "the property '{name}' holds a {kind}, which no Arrow column can: leave it out, with select"
        )),
        Unfit::Mixed(a, b) => Error::invalid(format_args!(
            "the property '{name}' holds {a} and {b} values, which no Arrow column can: leave it out, with select"
        )),
        Unfit::Range(kind) => Error::invalid(format_args!(
            "the property '{name}' holds a {kind} that is further away, or finer, than an Arrow column can tell: leave it out, with select"
        )),
    }
}
