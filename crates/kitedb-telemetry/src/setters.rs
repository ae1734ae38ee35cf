//! Options that are built: each member has a method of its name.

/// What builds a struct of options by value: `new`, and for each member a method that sets it.
macro_rules! setters {
    ($options:ident { $($member:ident: $kind:ty,)* }) => {
        impl $options {
            $(
                #[doc = concat!("As this, with [`", stringify!($options), "::", stringify!($member), "`](#structfield.", stringify!($member), ").")]
                #[must_use]
                pub fn $member(mut self, $member: $kind) -> Self {
                    self.$member = $member;
                    self
                }
            )*
        }
    };
}

pub(crate) use setters;
