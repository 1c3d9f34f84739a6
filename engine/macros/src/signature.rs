//! A function's head, checked and taken apart; its body stays tokens.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Error, FnArg, GenericParam, Generics, Ident, Lifetime, Pat, Result, ReturnType, Signature,
    Type, Visibility,
};

/// A free function.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
    pub(crate) parameters: Vec<Parameter>,
    /// The result's type.
    pub(crate) result: Type,
    pub(crate) output: ReturnType,
    pub(crate) body: Group,
}

/// One parameter.
pub(crate) struct Parameter {
    pub(crate) attributes: Vec<Attribute>,
    /// The pattern, for the body.
    pub(crate) pattern: Pat,
    /// A plain name, for everything else.
    pub(crate) name: Ident,
    /// The name to show: the pattern where that is no plain name.
    pub(crate) shown: String,
    pub(crate) ty: Type,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility: Visibility = input.parse()?;
        let signature: Signature = input.parse().map_err(|error| {
            let hint = "`#[fleche]` stands on a free function: `#[fleche] fn name(..) -> Result { .. }`";
            let mut hint = Error::new(error.span(), hint);
            hint.combine(error);
            hint
        })?;
        let body = match input.parse::<TokenTree>() {
            Ok(TokenTree::Group(group)) => group,
            Ok(other) => return Err(Error::new(other.span(), "a cached function needs a body")),
            Err(error) => return Err(error),
        };
        check(&signature)?;
        let parameters = parameters(&signature)?;
        let result = match &signature.output {
            ReturnType::Default => syn::parse_quote_spanned!(signature.ident.span()=> ()),
            ReturnType::Type(_, ty) => (**ty).clone(),
        };
        Ok(Self {
            attributes,
            visibility,
            name: signature.ident,
            generics: signature.generics,
            parameters,
            result,
            output: signature.output,
            body,
        })
    }
}

impl Function {
    /// Whether it has type or const parameters, so that it is many functions.
    pub(crate) fn is_generic(&self) -> bool {
        self.generics.params.iter().any(|parameter| !matches!(parameter, GenericParam::Lifetime(_)))
    }

    /// `::<T, N>`, or nothing.
    pub(crate) fn turbofish(&self) -> TokenStream {
        let arguments: Vec<&Ident> = self
            .generics
            .params
            .iter()
            .filter_map(|parameter| match parameter {
                GenericParam::Type(parameter) => Some(&parameter.ident),
                GenericParam::Const(parameter) => Some(&parameter.ident),
                GenericParam::Lifetime(_) => None,
            })
            .collect();
        if arguments.is_empty() { TokenStream::new() } else { quote!(::<#(#arguments),*>) }
    }

    /// Whether a caller who owns all arguments for the length of one call may call it.
    pub(crate) fn takes_any_lifetime(&self) -> bool {
        let bounded = self.generics.where_clause.is_some()
            || self.generics.params.iter().any(|parameter| match parameter {
                GenericParam::Lifetime(parameter) => !parameter.bounds.is_empty(),
                _ => true,
            });
        !bounded && !self.parameters.iter().any(|parameter| mentions_static(&parameter.ty))
    }
}

/// Refuses what cannot be cached, with what to do instead.
fn check(signature: &Signature) -> Result<()> {
    let mut errors: Option<Error> = None;
    let mut fail = |span: Span, message: &str| {
        let error = Error::new(span, message);
        match &mut errors {
            Some(errors) => errors.combine(error),
            none => *none = Some(error),
        }
    };
    if let Some(token) = &signature.asyncness {
        fail(
            token.span,
            "an `async fn` cannot be cached; cache the blocking part in a function of its own and call that from here",
        );
    }
    if let Some(token) = &signature.constness {
        fail(
            token.span,
            "a `const fn` cannot be cached: it may run while the program is compiled; drop `const`",
        );
    }
    match &signature.safety {
        syn::Safety::Unsafe(token) => fail(
            token.span,
            "an `unsafe fn` cannot be cached; cache a safe function that checks its arguments and calls this one",
        ),
        syn::Safety::Safe(token) => fail(token.span, "`safe` has no meaning here"),
        syn::Safety::Default => {}
    }
    if let Some(abi) = &signature.abi {
        fail(
            abi.span(),
            "an `extern` function cannot be cached; cache a Rust function and call it from this one",
        );
    }
    if let Some(variadic) = &signature.variadic {
        fail(variadic.span(), "a function with a variable number of arguments cannot be cached");
    }
    for input in &signature.inputs {
        match input {
            FnArg::Receiver(receiver) => fail(
                receiver.self_token.span,
                "a method cannot be cached; move the body to a free function that takes `this: &Self` and call that",
            ),
            FnArg::Typed(parameter) => {
                if let Type::Reference(reference) = peeled(&parameter.ty)
                    && reference.mutability.is_some()
                {
                    fail(
                        parameter.ty.span(),
                        "a cached function cannot take `&mut`: a hit would leave the argument as it was; \
                         take it by value and return the new one",
                    );
                }
                if let Some(span) = find_impl(&parameter.ty) {
                    fail(
                        span,
                        "`impl Trait` has no name to record; write a type parameter: `fn f<T: Trait>(x: T)`",
                    );
                }
                if let Type::Infer(infer) = &*parameter.ty {
                    fail(
                        infer.underscore_token.span,
                        "the parameter's type is part of the call's name; write it out",
                    );
                }
            }
        }
    }
    if let ReturnType::Type(_, ty) = &signature.output {
        if let Some(span) = find_impl(ty) {
            fail(
                span,
                "a cached function returns a type that can be stored; name it instead of `impl Trait`",
            );
        }
        if let Type::Reference(reference) = peeled(ty) {
            fail(
                reference.span(),
                "a cached function returns an owned value, since a hit has nothing to borrow from; \
                 return `String`, `Vec<T>` or the type itself",
            );
        }
    }
    errors.map_or(Ok(()), Err)
}

fn parameters(signature: &Signature) -> Result<Vec<Parameter>> {
    let mut found: Vec<Parameter> = Vec::new();
    for (index, input) in signature.inputs.iter().enumerate() {
        let FnArg::Typed(typed) = input else {
            return Err(Error::new(input.span(), "a method cannot be cached"));
        };
        let (name, shown) = match &*typed.pat {
            // A parameter of the function's own name would hide it.
            Pat::Ident(pattern)
                if pattern.subpat.is_none()
                    && pattern.by_ref.is_none()
                    && pattern.ident != signature.ident =>
            {
                (pattern.ident.clone(), pattern.ident.to_string())
            }
            other => (format_ident!("__argument_{index}", span = Span::mixed_site()), pretty(other)),
        };
        let shown = shown.strip_prefix("r#").unwrap_or(&shown).to_owned();
        found.push(Parameter {
            attributes: typed.attrs.clone(),
            pattern: (*typed.pat).clone(),
            name,
            shown,
            ty: (*typed.ty).clone(),
        });
    }
    Ok(found)
}

fn pretty(pattern: &Pat) -> String {
    quote!(#pattern).to_string().replace(" ,", ",").replace("( ", "(").replace(" )", ")")
}

/// A type without the parentheses and invisible groups around it.
fn peeled(ty: &Type) -> &Type {
    match ty {
        Type::Paren(paren) => peeled(&paren.elem),
        Type::Group(group) => peeled(&group.elem),
        other => other,
    }
}

/// The first `impl Trait` in a type.
fn find_impl(ty: &Type) -> Option<Span> {
    struct Finder(Option<Span>);
    impl<'ast> Visit<'ast> for Finder {
        fn visit_type_impl_trait(&mut self, node: &'ast syn::TypeImplTrait) {
            self.0 = self.0.or(Some(node.impl_token.span));
        }
    }
    let mut finder = Finder(None);
    finder.visit_type(ty);
    finder.0
}

/// Whether a type mentions `'static`, or lifetimes of its own (`for<'a> …`).
fn mentions_static(ty: &Type) -> bool {
    struct Finder(bool);
    impl<'ast> Visit<'ast> for Finder {
        fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
            self.0 |= lifetime.ident == "static";
            visit::visit_lifetime(self, lifetime);
        }
        fn visit_bound_lifetimes(&mut self, _: &'ast syn::BoundLifetimes) {
            self.0 = true;
        }
    }
    let mut finder = Finder(false);
    finder.visit_type(ty);
    finder.0
}

/// The referent of a `&T` parameter.
pub(crate) fn referent(ty: &Type) -> Option<&Type> {
    match peeled(ty) {
        Type::Reference(reference) => Some(&reference.elem),
        _ => None,
    }
}

/// Whether a parameter holds references below its own `&`, as `&[&str]` does: nothing stored can lend them out again.
pub(crate) fn borrows_inside(ty: &Type) -> bool {
    fn borrows(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Punct(punct) => matches!(punct.as_char(), '&' | '\''),
            TokenTree::Group(group) => borrows(group.stream()),
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        })
    }
    borrows(referent(ty).unwrap_or(ty).to_token_stream())
}

/// Whether a result may borrow from the arguments: as far as its tokens tell, not all that it lends is `'static`.
pub(crate) fn lends(ty: &Type) -> bool {
    fn lends(tokens: TokenStream) -> bool {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            let found = match token {
                TokenTree::Punct(punct) => match punct.as_char() {
                    '&' => !matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '\''),
                    '\'' => !matches!(tokens.peek(), Some(TokenTree::Ident(name)) if name == "static"),
                    _ => false,
                },
                TokenTree::Group(group) => lends(group.stream()),
                // Of the types that borrow without a sign of it (`Cow<str>`) the one that results are likely to have.
                TokenTree::Ident(name) if name == "Cow" => {
                    let mut next = tokens.clone().skip(1);
                    !matches!(next.next(), Some(TokenTree::Punct(next)) if next.as_char() == '\'')
                }
                TokenTree::Ident(_) | TokenTree::Literal(_) => false,
            };
            if found {
                return true;
            }
        }
        false
    }
    lends(ty.to_token_stream())
}

/// A type with every named lifetime but `'static` left to inference.
pub(crate) fn without_lifetimes(ty: &Type) -> TokenStream {
    fn elide(tokens: TokenStream) -> TokenStream {
        let mut out = Vec::new();
        let mut tokens = tokens.into_iter();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(quote) if quote.as_char() == '\'' => {
                    out.push(TokenTree::Punct(quote));
                    out.extend(tokens.next().map(|name| match name {
                        TokenTree::Ident(name) if name != "static" => Ident::new("_", name.span()).into(),
                        other => other,
                    }));
                }
                TokenTree::Group(group) => {
                    let mut inner = Group::new(group.delimiter(), elide(group.stream()));
                    inner.set_span(group.span());
                    out.push(inner.into());
                }
                other => out.push(other),
            }
        }
        out.into_iter().collect()
    }
    elide(quote!(#ty))
}
