//! What `#[fleche]` turns a function into.
//!
//! ```text
//! pub fn count(path: &Path) -> io::Result<u64> {
//!     let mut call = private::Call::new(&count::DEFINITION, type_name_of_val(&count));
//!     call.argument(&path);
//!     match call.lookup::<io::Result<u64>>() {
//!         private::Lookup::Hit(value) => value,
//!         private::Lookup::Miss(mut miss) => { miss.keep(&path); miss.run(move || count::uncached(path)) }
//!     }
//! }
//! pub enum count {}
//! impl count { const DEFINITION; fn uncached; fn call; fn digest; fn contains; fn load; fn view; fn rerun }
//! inventory::submit! { private::Registered(&count::DEFINITION) }
//! ```
//!
//! The helpers hang on an enum because a module would not compile inside function bodies and doc tests. Tokens of the
//! user keep their places, so that errors are reported where they were made.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error};

use crate::key;
use crate::options::Options;
use crate::signature::{Function, Parameter, borrows_inside, lends, referent, without_lifetimes};

/// Expands the attribute; on a mistake to the untouched function and the errors.
pub(crate) fn expand(options: TokenStream, item: &TokenStream) -> TokenStream {
    let parsed = match (Options::parse(options), syn::parse2::<Function>(item.clone())) {
        (Ok(options), Ok(function)) => check_names(&options, &function).map(|()| (options, function)),
        (Err(mut left), Err(right)) => {
            left.combine(right);
            Err(left)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    match parsed {
        Ok((_, function)) if key::is_member(&function.name) => {
            let message = "a function in an `impl` or `trait` cannot be cached, since helpers stand beside it; \
                make it a free function and call that from here";
            let error = Error::new(function.name.span(), message).into_compile_error();
            quote!(#error #item)
        }
        Ok((options, function)) => Expansion::new(&options, &function, item).tokens(),
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#error #item)
        }
    }
}

fn check_names(options: &Options, function: &Function) -> syn::Result<()> {
    const TYPES: [&str; 17] = [
        "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128",
        "isize", "f32", "f64",
    ];
    let mut errors: Option<Error> = None;
    if options.helpers.is_none() && TYPES.iter().any(|name| function.name == name) {
        let name = &function.name;
        let message = format!(
            "the helpers of `{name}` would stand in the way of the type `{name}`; give them another name: \
             `#[fleche(helpers = {name}_calls)]`"
        );
        errors = Some(Error::new(name.span(), message));
    }
    for name in &options.ignore {
        if !function.parameters.iter().any(|parameter| name == parameter.shown.as_str()) {
            let known: Vec<String> =
                function.parameters.iter().map(|parameter| format!("`{}`", parameter.shown)).collect();
            let message = if known.is_empty() {
                format!("`{name}` is no parameter; `{}` has none", function.name)
            } else {
                format!("`{name}` is no parameter; there are {}", known.join(", "))
            };
            let error = Error::new(name.span(), message);
            match &mut errors {
                Some(errors) => errors.combine(error),
                none => *none = Some(error),
            }
        }
    }
    errors.map_or(Ok(()), Err)
}

/// Attributes sorted by where they belong.
#[derive(Default)]
struct Attributes<'a> {
    /// On every item that is generated.
    everywhere: Vec<&'a Attribute>,
    /// On the function that callers see.
    outside: Vec<&'a Attribute>,
    /// On the function with the body.
    inside: Vec<&'a Attribute>,
}

impl<'a> Attributes<'a> {
    fn sort(attributes: &'a [Attribute]) -> Self {
        let mut sorted = Self::default();
        for attribute in attributes {
            let name = attribute.path().get_ident().map(ToString::to_string).unwrap_or_default();
            match name.as_str() {
                "cfg" => sorted.everywhere.push(attribute),
                "doc" | "must_use" | "deprecated" | "inline" | "cold" | "cfg_attr" => {
                    sorted.outside.push(attribute);
                }
                "allow" | "warn" | "deny" | "forbid" => {
                    sorted.outside.push(attribute);
                    sorted.inside.push(attribute);
                }
                _ => sorted.inside.push(attribute),
            }
        }
        sorted
    }
}

struct Expansion<'a> {
    options: &'a Options,
    function: &'a Function,
    item: &'a TokenStream,
    attributes: Attributes<'a>,
    helpers: Ident,
    /// `fleche::private`
    private: TokenStream,
    /// Bindings have names that no static has, since a binding cannot hide one.
    call: Ident,
    miss: Ident,
}

impl<'a> Expansion<'a> {
    fn new(options: &'a Options, function: &'a Function, item: &'a TokenStream) -> Self {
        let fleche = &options.fleche;
        Self {
            options,
            function,
            item,
            attributes: Attributes::sort(&function.attributes),
            helpers: options.helpers.clone().unwrap_or_else(|| function.name.clone()),
            private: quote!(#fleche::private),
            call: Ident::new("__fleche_call", Span::mixed_site()),
            miss: Ident::new("__fleche_miss", Span::mixed_site()),
        }
    }

    fn tokens(&self) -> TokenStream {
        let code = key::code(
            self.options.level,
            &self.private,
            &self.function.name,
            self.function.is_generic(),
            self.item,
        );
        let beside = &code.beside;
        let public = self.public();
        let helpers = self.helper_functions(&code);
        let registration = self.registration();
        quote! {
            #public
            #helpers
            #registration
            #beside
        }
    }

    /// The parameters that are part of the call's identity.
    fn counted(&self) -> impl Iterator<Item = &'a Parameter> {
        self.function.parameters.iter().filter(|parameter| !self.is_ignored(parameter))
    }

    fn is_ignored(&self, parameter: &Parameter) -> bool {
        self.options.ignore.iter().any(|name| name == parameter.shown.as_str())
    }

    /// The function that callers see.
    fn public(&self) -> TokenStream {
        let Attributes { everywhere, outside, .. } = &self.attributes;
        let name = &self.function.name;
        let head = self.head(name);
        let begin = self.begin();
        let run = if self.can_be_handed_on() { quote!(run_or_take) } else { quote!(run_or_unwind) };
        let answer = self.answer(&quote!(lookup), &run);
        quote! {
            #(#everywhere)*
            #(#outside)*
            #head {
                #begin
                #answer
            }
        }
    }

    /// `pub fn name<T>(a: A, b: B) -> R where …`
    fn head(&self, name: &Ident) -> TokenStream {
        let output = &self.function.output;
        self.head_returning(name, &quote!(#output))
    }

    fn head_returning(&self, name: &Ident, output: &TokenStream) -> TokenStream {
        let Function { visibility, generics, parameters, .. } = self.function;
        let (_, _, bounds) = generics.split_for_impl();
        let parameters = parameters.iter().map(|Parameter { name, ty, .. }| quote!(#name: #ty));
        quote!(#visibility fn #name #generics (#(#parameters),*) #output #bounds)
    }

    /// Makes the call and digests its arguments.
    fn begin(&self) -> TokenStream {
        let parameters = self.counted().map(|Parameter { name, ty, .. }| (quote!(&#name), ty.span()));
        let (made, unused) = (self.made(parameters), self.unused());
        quote!(#made #unused)
    }

    /// The same by a function that the helpers share, so that their arguments are looked at once while they are compiled. Who
    /// calls the function itself has its call made in place.
    fn begin_shared(&self) -> TokenStream {
        let (helpers, call, turbofish) = (&self.helpers, &self.call, self.function.turbofish());
        let (arguments, unused) = (self.counted().map(|parameter| &parameter.name), self.unused());
        quote! {
            let #call = #helpers::begin #turbofish (#(&#arguments),*);
            #unused
        }
    }

    fn made(&self, arguments: impl Iterator<Item = (TokenStream, Span)>) -> TokenStream {
        let (private, helpers, call) = (&self.private, &self.helpers, &self.call);
        let (name, turbofish) = (&self.function.name, self.function.turbofish());
        let arguments = arguments.map(|(value, span)| {
            let argument = Ident::new("argument", span);
            quote_spanned!(span.resolved_at(Span::mixed_site())=> #call.#argument(#value);)
        });
        let mutable = self.counted().next().is_some().then(|| quote!(mut));
        quote! {
            let #mutable #call = #private::Call::new(
                &#helpers::DEFINITION,
                ::core::any::type_name_of_val(&#name #turbofish),
            );
            #(#arguments)*
        }
    }

    /// So that no helper has an unused parameter.
    fn unused(&self) -> TokenStream {
        let unused = self.function.parameters.iter().filter(|parameter| self.is_ignored(parameter));
        let unused = unused.map(|Parameter { name, .. }| quote!(let _ = &#name;));
        quote!(#(#unused)*)
    }

    /// Looks the call up, or runs it.
    fn answer(&self, lookup: &TokenStream, run: &TokenStream) -> TokenStream {
        let (private, helpers, call, miss) = (&self.private, &self.helpers, &self.call, &self.miss);
        let (turbofish, result) = (self.function.turbofish(), &self.function.result);
        let all = self.function.parameters.iter().map(|parameter| &parameter.name);
        let keep = self.counted().map(|Parameter { name, ty, .. }| {
            let keep = Ident::new("keep", ty.span());
            quote_spanned!(ty.span().resolved_at(Span::mixed_site())=> #miss.#keep(&#name);)
        });
        let mutable = self.counted().next().is_some().then(|| quote!(mut));
        let looked_up = quote_spanned! {result.span().resolved_at(Span::mixed_site())=>
            #call.#lookup::<#result>()
        };
        quote! {
            match #looked_up {
                #private::Lookup::Hit(__fleche_value) => __fleche_value,
                #private::Lookup::Miss(#mutable #miss) => {
                    #(#keep)*
                    #miss.#run(move || #helpers::uncached #turbofish (#(#all),*))
                }
            }
        }
    }

    fn helper_functions(&self, code: &key::Code) -> TokenStream {
        let Attributes { everywhere, inside, .. } = &self.attributes;
        let Function { visibility, name, result, body, generics, parameters, output, .. } = self.function;
        let (helpers, fleche, call) = (&self.helpers, &self.options.fleche, &self.call);
        let private = &self.private;
        let (_, _, bounds) = generics.split_for_impl();
        let typed = parameters
            .iter()
            .map(|Parameter { attributes, pattern, ty, .. }| quote!(#(#attributes)* #pattern: #ty));
        let outcome =
            quote_spanned!(result.span().resolved_at(Span::mixed_site())=> <#result as #private::Outcome>);
        let about = |text: &str| format!("{text} [`{name}`].");

        let definition = self.definition(code);
        let begin = self.begin_shared();
        let begin_rerun = quote!(#begin let #call = #call.forced(););
        let made = self.made(self.counted().map(|Parameter { name, ty, .. }| (quote!(#name), ty.span())));
        let borrowed = self.counted().map(|Parameter { name, ty, .. }| quote!(#name: &#ty));
        // Forced, it takes no failure that was made before; but one that starting over came to is its own.
        let run = if self.can_be_handed_on() { quote!(run_or_take) } else { quote!(run) };
        let answer = self.answer(&quote!(lookup), &run);
        let run_view =
            if self.can_be_handed_on() { quote!(run_view_or_take) } else { quote!(run_view_or_unwind) };
        let answer_view = self.answer(&quote!(lookup_view), &run_view);
        // Inline, so that only what a program calls of them is compiled to machine code, where it is called.
        let helper =
            |name: &str, output: TokenStream, about: String, begin: &TokenStream, last: TokenStream| {
                let head = self.head_returning(&format_ident!("{name}"), &output);
                quote! {
                    #[doc = #about]
                    #[inline]
                    #[allow(dead_code, clippy::all, clippy::pedantic)]
                    #head { #begin #last }
                }
            };
        let functions = [
            helper(
                "call",
                quote!(-> #fleche::Call),
                about("Describes, without making it, a call of"),
                &begin,
                quote!(#call.describe()),
            ),
            helper(
                "digest",
                quote!(-> #fleche::CallId),
                about("The identity of a call of"),
                &begin,
                quote!(#call.id()),
            ),
            helper(
                "contains",
                quote!(-> bool),
                about("Whether there is a result that holds, without running anything, of a call of"),
                &begin,
                quote!(#call.contains::<#result>()),
            ),
            helper(
                "load",
                quote!(-> #fleche::Result<::core::option::Option<#outcome::Value>>),
                about("The stored result that holds, without running anything, of a call of"),
                &begin,
                quote!(#call.load::<#result>()),
            ),
            helper(
                "view",
                quote!(-> #outcome::View),
                about("The result, as it lies in the store without a copy, of a call of"),
                &begin,
                answer_view,
            ),
            helper(
                "rerun",
                quote!(#output),
                about("Runs, with every cached call below it and whatever is stored, a call of"),
                &begin_rerun,
                answer,
            ),
        ];
        let code_about = about("Which code is part of the key, and why, of calls of");
        let (enum_about, body_about) =
            (about("Helpers for calls of"), about("The body, without the cache, of"));
        quote! {
            #(#everywhere)*
            #[doc = #enum_about]
            #[allow(non_camel_case_types, dead_code, clippy::all, clippy::pedantic)]
            #visibility enum #helpers {}

            #(#everywhere)*
            impl #helpers {
                #definition

                #[doc = #body_about]
                #[allow(
                    clippy::missing_errors_doc, clippy::missing_panics_doc, clippy::must_use_candidate,
                    clippy::too_many_arguments, clippy::type_complexity,
                )]
                #(#inside)*
                #visibility fn uncached #generics (#(#typed),*) #output #bounds #body

                #[inline]
                #[allow(dead_code, clippy::all, clippy::pedantic)]
                fn begin #generics (#(#borrowed),*) -> #private::Call #bounds {
                    #made
                    #call
                }

                #(#functions)*

                #[doc = #code_about]
                #[inline]
                #[allow(dead_code, clippy::all, clippy::pedantic)]
                #visibility fn code() -> #fleche::Code {
                    Self::DEFINITION.covered()
                }
            }
        }
    }

    fn definition(&self, code: &key::Code) -> TokenStream {
        let Function { visibility, name, result, .. } = self.function;
        let (private, version) = (&self.private, &self.options.version);
        let shown = name.to_string();
        let shown = shown.strip_prefix("r#").unwrap_or(&shown);
        let counted = self.counted().map(|parameter| &parameter.shown);
        let (full_name, fingerprint) = if self.function.is_generic() {
            (quote!(|| ""), quote!(::core::option::Option::None))
        } else {
            let result_type = without_lifetimes(result);
            let fingerprint = quote_spanned! {result.span().resolved_at(Span::mixed_site())=>
                #private::fingerprint_of::<#result_type>
            };
            (
                quote!(|| ::core::any::type_name_of_val(&#name)),
                quote!(::core::option::Option::Some(|| #fingerprint())),
            )
        };
        let recall = self.recall();
        let key::Code { value: code, binary, covers, .. } = code;
        let line = if proc_macro::is_available() { name.span().unwrap().line() } else { 0 };
        let line = u32::try_from(line).unwrap_or(0);
        // What edits elsewhere change stands apart, so that the compiler need not look at all else again.
        quote! {
            #[doc(hidden)]
            #[allow(dead_code, unexpected_cfgs, clippy::all, clippy::pedantic)]
            const CODE: (::core::option::Option<[u8; 32]>, &str, u32) = (#code, #covers, #line);

            #[doc(hidden)]
            #[allow(dead_code, clippy::all, clippy::pedantic)]
            #visibility const DEFINITION: #private::Definition = #private::Definition {
                name: #shown,
                package: match ::core::option_env!("CARGO_PKG_NAME") {
                    ::core::option::Option::Some(package) => package,
                    ::core::option::Option::None => "",
                },
                module: ::core::module_path!(),
                version: #version,
                code: Self::CODE.0,
                binary: #binary,
                covers: Self::CODE.1,
                parameters: &[#(#counted),*],
                file: ::core::file!(),
                line: Self::CODE.2,
                full_name: #full_name,
                fingerprint: #fingerprint,
                recall: #recall,
            };
        }
    }

    /// Whether what the function returns can outlive the call that made it.
    fn can_be_handed_on(&self) -> bool {
        !self.function.is_generic() && !lends(&self.function.result)
    }

    /// Restores the arguments and calls the function, for calls that must be brought up to date before their callers;
    /// without arguments it tells whether they can be restored.
    fn recall(&self) -> TokenStream {
        let complete = self.counted().count() == self.function.parameters.len();
        let borrows = self.function.parameters.iter().any(|parameter| borrows_inside(&parameter.ty));
        if self.function.is_generic() || !complete || borrows || !self.function.takes_any_lifetime() {
            return quote!(::core::option::Option::None);
        }
        let (private, name) = (&self.private, &self.function.name);
        let arguments = Ident::new("__fleche_arguments", Span::mixed_site());
        let (mut ways, mut restore, mut pass) = (Vec::new(), Vec::new(), Vec::new());
        for (index, parameter) in self.function.parameters.iter().enumerate() {
            let local = format_ident!("__fleche_argument_{index}", span = Span::mixed_site());
            restore.push(quote!(let #local = #local(#arguments)?;));
            if let Some(referent) = referent(&parameter.ty) {
                let ty = without_lifetimes(referent);
                ways.push(quote!(let #local = (&#private::Probe::<#ty>::new()).referent()?;));
                pass.push(quote!(::core::borrow::Borrow::<#ty>::borrow(&#local)));
            } else {
                let ty = without_lifetimes(&parameter.ty);
                ways.push(quote!(let #local = #private::Probe::<#ty>::new().value()?;));
                pass.push(quote!(#local));
            }
        }
        let outcome = if self.can_be_handed_on() {
            quote!(#private::recalled(__fleche_outcome);)
        } else {
            quote!(let _ = __fleche_outcome;)
        };
        let used = if restore.is_empty() { quote!(_) } else { quote!(#arguments) };
        let traits = (!restore.is_empty()).then(|| {
            quote! {
                #[allow(unused_imports)]
                use #private::{RestoreNoReferent as _, RestoreNoValue as _, RestoreOwned as _};
            }
        });
        quote! {
            ::core::option::Option::Some({
                fn recall(
                    #arguments: ::core::option::Option<&mut #private::Arguments<'_>>,
                ) -> ::core::option::Option<()> {
                    #traits
                    #(#ways)*
                    if let ::core::option::Option::Some(#used) = #arguments {
                        #(#restore)*
                        let __fleche_outcome = #name(#(#pass),*);
                        #outcome
                    }
                    ::core::option::Option::Some(())
                }
                recall
            })
        }
    }

    fn registration(&self) -> TokenStream {
        if self.function.is_generic() {
            return TokenStream::new();
        }
        let (everywhere, private, helpers) = (&self.attributes.everywhere, &self.private, &self.helpers);
        quote! {
            #(#everywhere)*
            const _: () = {
                #private::inventory::submit! { #private::Registered(&#helpers::DEFINITION) }
            };
        }
    }
}

#[cfg(test)]
mod tests;
