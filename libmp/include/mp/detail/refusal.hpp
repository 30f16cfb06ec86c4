// SPDX-License-Identifier: BSL-1.0
// Refusals: why a value or a call cannot travel to another process, and how to say it.
// Python:  pickle.PicklingError, at run time.
// Differs: found when compiling, wherever it certainly travels.
// Threads: any; values only.
#pragma once

#include <type_traits>

// Each text stands here once, for the compiler and for run time (fork can run what
// cannot travel, so Process only complains when it has to). No list of macros makes the
// assertions below: compilers would show each step of its expansion.
#define MP_DETAIL_TEXT_not_callable "this object cannot be called"
#define MP_DETAIL_TEXT_capturing_closure                                               \
    "a lambda with captures cannot travel to another process, because its captures "   \
    "cannot be seen: take them as parameters and pass them as arguments, or write "    \
    "a class with operator() and serialize()"
#define MP_DETAIL_TEXT_std_function                                                    \
    "a std::function hides what it holds, so it cannot travel to another process: "    \
    "pass the function itself, or a lambda without captures"
#define MP_DETAIL_TEXT_std_bind                                                        \
    "the result of std::bind cannot travel to another process: pass the function "     \
    "and its arguments instead"
#define MP_DETAIL_TEXT_reference_wrapper                                               \
    "std::ref refers to an object of this process, and the other process has its "     \
    "own copy: pass the value, and return what changes"
#define MP_DETAIL_TEXT_no_object                                                       \
    "a member function needs its object as first argument, by value: an object of "    \
    "the member's class, of one derived from it, or a smart pointer to one"
#define MP_DETAIL_TEXT_no_object_here                                                  \
    "a member function needs its object, or a pointer to it, as first argument"
#define MP_DETAIL_TEXT_too_few_arguments                                               \
    "too few arguments; a function pointer does not know the default arguments of "    \
    "its function: write them out, or pass a lambda that calls it"
#define MP_DETAIL_TEXT_too_many_arguments                                              \
    "more arguments than the function has parameters"
#define MP_DETAIL_TEXT_lvalue_reference                                                \
    "a parameter is a non-const reference (T&); the other process works on a copy, "   \
    "so what the function writes there would be lost: take the parameter by value "    \
    "and return the result"
#define MP_DETAIL_TEXT_lvalue_reference_here                                           \
    "a parameter is a non-const reference (T&), and the call gets copies of its "      \
    "arguments: pass std::ref(x), or take the parameter by value and return the "      \
    "result"
#define MP_DETAIL_TEXT_not_convertible                                                 \
    "an argument cannot be converted to the function's parameter"
#define MP_DETAIL_TEXT_not_invocable                                                   \
    "the callable cannot be called with these arguments as they arrive: decayed, "     \
    "as rvalues, string literals as std::string"
#define MP_DETAIL_TEXT_not_invocable_here                                              \
    "the callable cannot be called with copies of these arguments: decayed, as "       \
    "rvalues"
#define MP_DETAIL_TEXT_pointer                                                         \
    "a pointer means nothing in another process: pass or return the value, a "         \
    "std::vector, a std::string or a smart pointer"
#define MP_DETAIL_TEXT_view                                                            \
    "a view (std::string_view, std::span) does not own what it shows, so it can "      \
    "neither be sent to another process nor be a parameter or result of a call "       \
    "there: use std::string or std::vector"
#define MP_DETAIL_TEXT_not_default_constructible                                       \
    "a value is made first and read into then: give the type, or the type of the "     \
    "elements, a default constructor"
#define MP_DETAIL_TEXT_needs_header                                                    \
    "to send this type to another process, #include <mp/serialization.hpp>"
#define MP_DETAIL_TEXT_not_archivable                                                  \
    "this type cannot be serialised: give it a serialize() as Boost.Serialization "    \
    "wants it (see mp/reduction.hpp)"
#define MP_DETAIL_TEXT_base_class                                                      \
    "a struct with a base class cannot be taken apart: give it a serialize() that "    \
    "archives boost::serialization::base_object<Base>(*this) and its members"
#define MP_DETAIL_TEXT_too_many_members                                                \
    "a struct of more than 100 members cannot be taken apart: give it a serialize(), " \
    "or put members together into structs"
#define MP_DETAIL_TEXT_union_member                                                    \
    "a struct with a union cannot be taken apart, as nobody knows which member of it " \
    "is alive: use a std::variant, or give the struct a serialize()"
#define MP_DETAIL_TEXT_reference_member                                                \
    "a struct with a reference cannot travel, because that refers to an object of "    \
    "this process: hold the value, or give the struct a serialize()"
#define MP_DETAIL_TEXT_bit_field                                                       \
    "a struct with a bit-field cannot be taken apart: give it a serialize() that "     \
    "copies the bit-field into a variable and back"
#define MP_DETAIL_TEXT_not_a_range                                                     \
    "map() takes a range (a std::vector, an array, a view) for each parameter of "     \
    "the function; for one call there is submit()"
#define MP_DETAIL_TEXT_future_without_value                                            \
    "a Future<void> has no value to pass as an argument: name it in .after = {f}, "    \
    "and leave the argument out"
#define MP_DETAIL_TEXT_future_of_uncopyable                                            \
    "the value of this future can only be moved out of it, which takes it from every " \
    "handle: give the future away, std::move(f)"

namespace mp::detail {

// Not a byte: clang shows those as characters.
enum class Refusal {
    none,
    not_callable,
    capturing_closure,
    std_function,
    std_bind,
    reference_wrapper,
    no_object,
    no_object_here,
    too_few_arguments,
    too_many_arguments,
    lvalue_reference,
    lvalue_reference_here,
    not_convertible,
    not_invocable,
    not_invocable_here,
    pointer,
    view,
    not_default_constructible,
    needs_header,
    not_archivable,
    base_class,
    too_many_members,
    union_member,
    reference_member,
    bit_field,
    not_a_range,
    future_without_value,
    future_of_uncopyable,
};

constexpr const char* refusal_text(Refusal why) {
    switch (why) {
    case Refusal::not_callable:
        return MP_DETAIL_TEXT_not_callable;
    case Refusal::capturing_closure:
        return MP_DETAIL_TEXT_capturing_closure;
    case Refusal::std_function:
        return MP_DETAIL_TEXT_std_function;
    case Refusal::std_bind:
        return MP_DETAIL_TEXT_std_bind;
    case Refusal::reference_wrapper:
        return MP_DETAIL_TEXT_reference_wrapper;
    case Refusal::no_object:
        return MP_DETAIL_TEXT_no_object;
    case Refusal::no_object_here:
        return MP_DETAIL_TEXT_no_object_here;
    case Refusal::too_few_arguments:
        return MP_DETAIL_TEXT_too_few_arguments;
    case Refusal::too_many_arguments:
        return MP_DETAIL_TEXT_too_many_arguments;
    case Refusal::lvalue_reference:
        return MP_DETAIL_TEXT_lvalue_reference;
    case Refusal::lvalue_reference_here:
        return MP_DETAIL_TEXT_lvalue_reference_here;
    case Refusal::not_convertible:
        return MP_DETAIL_TEXT_not_convertible;
    case Refusal::not_invocable:
        return MP_DETAIL_TEXT_not_invocable;
    case Refusal::not_invocable_here:
        return MP_DETAIL_TEXT_not_invocable_here;
    case Refusal::pointer:
        return MP_DETAIL_TEXT_pointer;
    case Refusal::view:
        return MP_DETAIL_TEXT_view;
    case Refusal::not_default_constructible:
        return MP_DETAIL_TEXT_not_default_constructible;
    case Refusal::needs_header:
        return MP_DETAIL_TEXT_needs_header;
    case Refusal::not_archivable:
        return MP_DETAIL_TEXT_not_archivable;
    case Refusal::base_class:
        return MP_DETAIL_TEXT_base_class;
    case Refusal::too_many_members:
        return MP_DETAIL_TEXT_too_many_members;
    case Refusal::union_member:
        return MP_DETAIL_TEXT_union_member;
    case Refusal::reference_member:
        return MP_DETAIL_TEXT_reference_member;
    case Refusal::bit_field:
        return MP_DETAIL_TEXT_bit_field;
    case Refusal::not_a_range:
        return MP_DETAIL_TEXT_not_a_range;
    case Refusal::future_without_value:
        return MP_DETAIL_TEXT_future_without_value;
    case Refusal::future_of_uncopyable:
        return MP_DETAIL_TEXT_future_of_uncopyable;
    case Refusal::none:
        break;
    }
    return "";
}

/// `if constexpr (accepts<why, Types...>())` does not compile unless `why` is none.
/// `Types` are there to be read in the compiler's note. Every door asks it first,
/// before the return type or anything else of the call is made, and does nothing more
/// when it says no: so this error is the first one and the only one, and it stands
/// right below the caller's line. (No class, as clang would complain about each use of
/// one that has an error inside.)
template <Refusal why, class... Types>
constexpr bool accepts() {
    static_assert(why != Refusal::not_callable, MP_DETAIL_TEXT_not_callable);
    static_assert(why != Refusal::capturing_closure, MP_DETAIL_TEXT_capturing_closure);
    static_assert(why != Refusal::std_function, MP_DETAIL_TEXT_std_function);
    static_assert(why != Refusal::std_bind, MP_DETAIL_TEXT_std_bind);
    static_assert(why != Refusal::reference_wrapper, MP_DETAIL_TEXT_reference_wrapper);
    static_assert(why != Refusal::no_object, MP_DETAIL_TEXT_no_object);
    static_assert(why != Refusal::no_object_here, MP_DETAIL_TEXT_no_object_here);
    static_assert(why != Refusal::too_few_arguments, MP_DETAIL_TEXT_too_few_arguments);
    static_assert(
        why != Refusal::too_many_arguments, MP_DETAIL_TEXT_too_many_arguments
    );
    static_assert(why != Refusal::lvalue_reference, MP_DETAIL_TEXT_lvalue_reference);
    static_assert(
        why != Refusal::lvalue_reference_here, MP_DETAIL_TEXT_lvalue_reference_here
    );
    static_assert(why != Refusal::not_convertible, MP_DETAIL_TEXT_not_convertible);
    static_assert(why != Refusal::not_invocable, MP_DETAIL_TEXT_not_invocable);
    static_assert(
        why != Refusal::not_invocable_here, MP_DETAIL_TEXT_not_invocable_here
    );
    static_assert(why != Refusal::pointer, MP_DETAIL_TEXT_pointer);
    static_assert(why != Refusal::view, MP_DETAIL_TEXT_view);
    static_assert(
        why != Refusal::not_default_constructible,
        MP_DETAIL_TEXT_not_default_constructible
    );
    static_assert(why != Refusal::needs_header, MP_DETAIL_TEXT_needs_header);
    static_assert(why != Refusal::not_archivable, MP_DETAIL_TEXT_not_archivable);
    static_assert(why != Refusal::base_class, MP_DETAIL_TEXT_base_class);
    static_assert(why != Refusal::too_many_members, MP_DETAIL_TEXT_too_many_members);
    static_assert(why != Refusal::union_member, MP_DETAIL_TEXT_union_member);
    static_assert(why != Refusal::reference_member, MP_DETAIL_TEXT_reference_member);
    static_assert(why != Refusal::bit_field, MP_DETAIL_TEXT_bit_field);
    static_assert(why != Refusal::not_a_range, MP_DETAIL_TEXT_not_a_range);
    static_assert(
        why != Refusal::future_without_value, MP_DETAIL_TEXT_future_without_value
    );
    static_assert(
        why != Refusal::future_of_uncopyable, MP_DETAIL_TEXT_future_of_uncopyable
    );
    return why == Refusal::none;
}

#undef MP_DETAIL_TEXT_not_callable
#undef MP_DETAIL_TEXT_capturing_closure
#undef MP_DETAIL_TEXT_std_function
#undef MP_DETAIL_TEXT_std_bind
#undef MP_DETAIL_TEXT_reference_wrapper
#undef MP_DETAIL_TEXT_no_object
#undef MP_DETAIL_TEXT_no_object_here
#undef MP_DETAIL_TEXT_too_few_arguments
#undef MP_DETAIL_TEXT_too_many_arguments
#undef MP_DETAIL_TEXT_lvalue_reference
#undef MP_DETAIL_TEXT_lvalue_reference_here
#undef MP_DETAIL_TEXT_not_convertible
#undef MP_DETAIL_TEXT_not_invocable
#undef MP_DETAIL_TEXT_not_invocable_here
#undef MP_DETAIL_TEXT_pointer
#undef MP_DETAIL_TEXT_view
#undef MP_DETAIL_TEXT_not_default_constructible
#undef MP_DETAIL_TEXT_needs_header
#undef MP_DETAIL_TEXT_not_archivable
#undef MP_DETAIL_TEXT_base_class
#undef MP_DETAIL_TEXT_too_many_members
#undef MP_DETAIL_TEXT_union_member
#undef MP_DETAIL_TEXT_reference_member
#undef MP_DETAIL_TEXT_bit_field
#undef MP_DETAIL_TEXT_not_a_range
#undef MP_DETAIL_TEXT_future_without_value
#undef MP_DETAIL_TEXT_future_of_uncopyable

template <class... Whys>
constexpr Refusal first_refusal(Whys... whys) {
    Refusal first = Refusal::none;
    ((first = first == Refusal::none ? whys : first), ...);
    return first;
}

/// The result of a refused call whose result nobody can tell: it becomes whatever is
/// wanted, so that the compiler has nothing to add.
struct Refused {
    template <class T>
    operator T() const;  // NOLINT(google-explicit-constructor): that is the point

    template <class T>
    friend Refused operator+(const Refused&, const T&);
    template <class T>
    friend Refused operator+(const T&, const Refused&);
};

template <class T>
inline constexpr bool never = false;

/// What an overloaded name becomes: such a name has no type, so a call with one falls
/// back to an overload that asks for this.
template <class T>
struct NameTheOverload {
    static_assert(
        never<T>,
        "no function can be told from this: if it is an overloaded function or a "
        "function template, name the overload: a lambda that calls it, or a cast, "
        "static_cast<R (*)(A)>(name)"
    );

    using type = Refused;
};

struct NameOfCall {
    void operator()();
};

template <class T>
struct WithNameOfCall : T, NameOfCall {};

template <class T>
concept NamesCallOnce = requires {
    &WithNameOfCall<T>::operator();
};

/// A function, a member, a lambda, a class with any operator(); a final class, of which
/// nobody can tell.
template <class T>
constexpr bool looks_callable() {
    if constexpr (std::is_class_v<T> && !std::is_final_v<T>) {
        return !NamesCallOnce<T>;
    } else {
        return std::is_class_v<T> || std::is_member_pointer_v<T> ||
               std::is_function_v<std::remove_pointer_t<T>>;
    }
}

/// The same for a name that stands before arguments of the types Next. No type can be
/// deduced for options in braces either, but after those comes the callable.
template <class T, class... Next>
struct NameTheOverloadBefore : NameTheOverload<T> {};

template <class T, class Next, class... Rest>
    requires(looks_callable<std::decay_t<Next>>())
struct NameTheOverloadBefore<T, Next, Rest...> {};

}  // namespace mp::detail
