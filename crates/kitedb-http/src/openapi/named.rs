//! Names for the kinds of a mutation: programs that write clients give each a type of its own, and tell them apart by `op`.

use utoipa::{
    Modify,
    openapi::{
        Components, Discriminator, OpenApi, Ref, RefOr, Schema,
        schema::{OneOf, SchemaType},
    },
};

const MUTATION: &str = "Mutation";
/// The member that tells which it is.
const TAG: &str = "op";

/// See the [module documentation](self).
pub(super) struct Mutations;

impl Modify for Mutations {
    fn modify(&self, document: &mut OpenApi) {
        if let Some(components) = &mut document.components {
            name_kinds(components);
        }
    }
}

fn name_kinds(components: &mut Components) {
    let Some(RefOr::T(Schema::OneOf(kinds))) = components.schemas.remove(MUTATION) else { return };
    let mut named = OneOf { items: Vec::new(), discriminator: None, ..kinds.clone() };
    let mut mapping = Vec::new();
    for kind in kinds.items {
        match tag_of(&kind) {
            Some(op) => {
                let name = capitalized(&op);
                let reference = Ref::from_schema_name(&name);
                mapping.push((op, reference.ref_location.clone()));
                named.items.push(RefOr::Ref(reference));
                components.schemas.insert(name, kind);
            }
            None => named.items.push(kind),
        }
    }
    named.discriminator = Some(Discriminator::with_mapping(TAG, mapping));
    components.schemas.insert(MUTATION.to_owned(), RefOr::T(Schema::OneOf(named)));
}

/// The one value of its tag.
fn tag_of(kind: &RefOr<Schema>) -> Option<String> {
    let RefOr::T(Schema::Object(object)) = kind else { return None };
    let RefOr::T(Schema::Object(tag)) = object.properties.get(TAG)? else { return None };
    match (&tag.schema_type, tag.enum_values.as_deref()?) {
        (SchemaType::Type(_), [value]) => value.as_str().map(str::to_owned),
        _ => None,
    }
}

fn capitalized(name: &str) -> String {
    let mut rest = name.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}
