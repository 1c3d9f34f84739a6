//! What `#[value]` turns a type into: derives of rkyv and serde, and the description that its fingerprint is made of.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, GenericArgument, GenericParam, Path, PathArguments,
    Result, Type, parse_quote,
};

/// Expands the attribute; on a mistake to the untouched type and the error.
pub(crate) fn expand(options: TokenStream, item: &TokenStream) -> TokenStream {
    match fleche(options).and_then(|fleche| value(&fleche, &syn::parse2(item.clone())?)) {
        Ok(tokens) => tokens,
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#error #item)
        }
    }
}

/// The one option: `crate = path`.
fn fleche(options: TokenStream) -> Result<Path> {
    if options.is_empty() {
        return Ok(parse_quote!(::fleche));
    }
    let mut path = None;
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("crate") {
            path = Some(meta.value()?.call(Path::parse_mod_style)?);
            Ok(())
        } else {
            Err(meta.error("unknown option; `#[value]` has only `crate = path`"))
        }
    });
    syn::parse::Parser::parse2(parser, options)?;
    path.ok_or_else(|| Error::new(Span::call_site(), "expected `crate = path`"))
}

fn value(fleche: &Path, input: &DeriveInput) -> Result<TokenStream> {
    let input = &paths(fleche, recursive(fleche, input.clone()));
    let private = quote!(#fleche::private);
    let name = &input.ident;
    if let Some(lifetime) = input.generics.lifetimes().next() {
        let message =
            "a value owns its data, since it outlives the program; use `String`, `Vec<T>` or `Box<T>`";
        return Err(Error::new(lifetime.span(), message));
    }
    let (kind, body) = match &input.data {
        Data::Struct(data) => ("struct", fields(&private, &data.fields)),
        Data::Enum(data) => {
            let variants = data.variants.iter().map(|variant| {
                let variant_name = variant.ident.to_string();
                let (attributes, fields) = (attributes(&variant.attrs), fields(&private, &variant.fields));
                quote!(to.variant(#variant_name); #attributes #fields)
            });
            ("enum", quote!(#(#variants)*))
        }
        Data::Union(data) => {
            return Err(Error::new(data.union_token.span, "a union cannot be archived; use an enum"));
        }
    };
    let mut generics = input.generics.clone();
    for parameter in &mut generics.params {
        if let GenericParam::Type(parameter) = parameter {
            parameter.bounds.push(parse_quote!(#private::Fingerprint));
        }
    }
    let (parameters, _, bounds) = generics.split_for_impl();
    let (_, arguments, _) = input.generics.split_for_impl();
    let serde = quote!(#private::serde).to_string().replace(' ', "");
    let on_type = attributes(&input.attrs);
    Ok(quote! {
        #[derive(
            #private::rkyv::Archive, #private::rkyv::Serialize, #private::rkyv::Deserialize,
            #private::serde::Serialize, #private::serde::Deserialize,
        )]
        #[rkyv(crate = #private::rkyv)]
        #[serde(crate = #serde)]
        #input

        #[automatically_derived]
        impl #parameters #private::Fingerprint for #name #arguments #bounds {
            fn describe(to: &mut #private::Describe) {
                if to.begin(::core::any::type_name::<Self>(), #kind) {
                    #on_type
                    #body
                    to.end();
                }
            }
        }
    })
}

/// Tells rkyv where a type contains itself: its derives would look for bounds for ever.
fn recursive(fleche: &Path, mut input: DeriveInput) -> DeriveInput {
    let name = input.ident.clone();
    let mut found = false;
    for field in fields_of(&mut input.data) {
        if mentions(field.ty.to_token_stream(), &name) {
            field.attrs.push(parse_quote!(#[rkyv(omit_bounds)]));
            found = true;
        }
    }
    if found {
        let rkyv = quote!(#fleche::private::rkyv);
        input.attrs.push(parse_quote!(#[rkyv(
            serialize_bounds(
                __S: #rkyv::ser::Writer + #rkyv::ser::Allocator,
                <__S as #rkyv::rancor::Fallible>::Error: #rkyv::rancor::Source,
            ),
            deserialize_bounds(<__D as #rkyv::rancor::Fallible>::Error: #rkyv::rancor::Source),
            bytecheck(bounds(
                __C: #rkyv::validation::ArchiveContext,
                <__C as #rkyv::rancor::Fallible>::Error: #rkyv::rancor::Source,
            )),
        )]));
    }
    input
}

/// Has paths archived as text, since rkyv has no form of its own for them. Of a path that is none nothing is stored.
fn paths(fleche: &Path, mut input: DeriveInput) -> DeriveInput {
    let with = quote!(#fleche::private::rkyv::with);
    for field in fields_of(&mut input.data) {
        if is_archived_through_another_type(field) {
            continue;
        }
        if is_path(&field.ty) {
            field.attrs.push(parse_quote!(#[rkyv(with = #with::AsString)]));
        } else if argument(&field.ty).is_some_and(is_path) {
            field.attrs.push(parse_quote!(#[rkyv(with = #with::Map<#with::AsString>)]));
        }
    }
    input
}

fn is_path(ty: &Type) -> bool {
    matches!(ty, Type::Path(ty) if ty.path.segments.last().is_some_and(|last| last.ident == "PathBuf"))
}

/// What an `Option` or a `Vec` is of.
fn argument(ty: &Type) -> Option<&Type> {
    let Type::Path(ty) = ty else { return None };
    let last = ty.path.segments.last().filter(|last| last.ident == "Option" || last.ident == "Vec")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(ty)) => Some(ty),
        _ => None,
    }
}

fn fields_of(data: &mut Data) -> Vec<&mut Field> {
    match data {
        Data::Struct(data) => data.fields.iter_mut().collect(),
        Data::Enum(data) => data.variants.iter_mut().flat_map(|variant| variant.fields.iter_mut()).collect(),
        Data::Union(_) => Vec::new(),
    }
}

fn mentions(tokens: TokenStream, name: &Ident) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == *name || ident == "Self",
        TokenTree::Group(group) => mentions(group.stream(), name),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn fields(private: &TokenStream, fields: &Fields) -> TokenStream {
    let described = fields.iter().enumerate().map(|(index, field)| {
        let name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
        let (attributes, ty) = (attributes(&field.attrs), &field.ty);
        let inner = if is_archived_through_another_type(field) {
            quote!(to.attribute(::core::any::type_name::<#ty>());)
        } else {
            quote_spanned!(ty.span()=> <#ty as #private::Fingerprint>::describe(to);)
        };
        quote!(to.field(#name); #attributes #inner)
    });
    quote!(#(#described)*)
}

/// Describes the attributes that alter the archived or serialised form.
fn attributes(attributes: &[Attribute]) -> TokenStream {
    let texts = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde") || attribute.path().is_ident("rkyv"))
        .map(|attribute| quote!(#attribute).to_string());
    quote!(#(to.attribute(#texts);)*)
}

/// `#[rkyv(with = …)]`: the field's own type need not know how to be archived.
fn is_archived_through_another_type(field: &Field) -> bool {
    field.attrs.iter().any(|attribute| {
        let mut found = false;
        if attribute.path().is_ident("rkyv") {
            let _ = attribute.parse_nested_meta(|meta| {
                found |= meta.path.is_ident("with");
                if meta.input.peek(syn::Token![=]) {
                    let _: Type = meta.value()?.parse()?;
                } else if meta.input.peek(syn::token::Paren) {
                    let _: proc_macro2::Group = meta.input.parse()?;
                }
                Ok(())
            });
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(item: &TokenStream) -> String {
        let tokens = expand(TokenStream::new(), item);
        let parsed = syn::parse2::<syn::File>(tokens.clone());
        assert!(parsed.is_ok(), "{tokens}");
        tokens.to_string()
    }

    #[test]
    fn fields_variants_and_attributes_are_described() {
        let all = expanded(&quote!(
            #[serde(rename_all = "lowercase")]
            enum E {
                A,
                #[serde(rename = "x")]
                B(u8),
                C {
                    y: Vec<u8>,
                },
            }
        ));
        assert!(all.contains("\"enum\"") && all.contains("to . variant (\"A\")"), "{all}");
        assert_eq!(all.matches("to . attribute").count(), 2, "{all}");
        assert!(all.contains("to . field (\"0\") ; < u8 as"), "{all}");
        assert!(all.contains("to . field (\"y\") ; < Vec < u8 > as"), "{all}");
        assert!(all.contains(r#"serde (crate = "::fleche::private::serde")"#), "{all}");
    }

    #[test]
    fn parameters_must_be_describable_and_foreign_fields_need_not() {
        let all = expanded(&quote!(
            struct S<T> {
                #[rkyv(with = rkyv::with::AsString)]
                p: PathBuf,
                t: T,
            }
        ));
        assert!(all.contains("impl < T : :: fleche :: private :: Fingerprint >"), "{all}");
        assert!(!all.contains("< PathBuf as"), "{all}");
    }

    #[test]
    fn borrowed_values_and_unions_are_refused() {
        assert!(
            expanded(&quote!(
                struct S<'a>(&'a str);
            ))
            .contains("owns its data")
        );
        assert!(expanded(&quote!(union U { a: u8 })).contains("use an enum"));
    }
}
