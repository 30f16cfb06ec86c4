// SPDX-License-Identifier: BSL-1.0
// Refusals: why a call cannot travel to another process, and how to say it.
// Python:  pickle.PicklingError, at run time.
// Differs: found when compiling, wherever the call certainly travels.
// Threads: any; values only.
#pragma once

#include "mp/detail/plain_struct.hpp"

#include <cstdint>

// One list, three uses: the enumerators, the static_asserts and the texts at run time
// (fork can run what cannot travel, so Process only complains when it has to).
#define MP_DETAIL_REFUSALS(X)                                                          \
    X(not_callable, "this object cannot be called")                                    \
    X(capturing_closure,                                                               \
      "a lambda with captures cannot travel to another process, because its captures " \
      "cannot be seen: take them as parameters and pass them as arguments, "           \
      "or write a class with operator() and serialize()")                              \
    X(std_function,                                                                    \
      "a std::function hides what it holds, so it cannot travel to another process: "  \
      "pass the function itself, or a lambda without captures")                        \
    X(std_bind,                                                                        \
      "the result of std::bind cannot travel to another process: pass the function "   \
      "and its arguments instead")                                                     \
    X(reference_wrapper,                                                               \
      "std::ref refers to an object of this process, and the other process has its "   \
      "own copy: pass the value, and return what changes")                             \
    X(no_object,                                                                       \
      "a member function needs its object as first argument, by value: an object of "  \
      "the member's class, of one derived from it, or a smart pointer to one")         \
    X(too_few_arguments,                                                               \
      "too few arguments; a function pointer does not know the default arguments of "  \
      "its function: write them out, or pass a lambda that calls it")                  \
    X(too_many_arguments, "more arguments than the function has parameters")           \
    X(lvalue_reference,                                                                \
      "a parameter is a non-const reference (T&); the other process works on a copy, " \
      "so what the function writes there would be lost: take the parameter by value "  \
      "and return the result")                                                         \
    X(not_convertible, "an argument cannot be converted to the function's parameter")  \
    X(not_invocable,                                                                   \
      "the callable cannot be called with these arguments as they arrive: decayed, "   \
      "as rvalues, string literals as std::string")                                    \
    X(pointer,                                                                         \
      "a pointer means nothing in another process: pass or return the value, a "       \
      "std::vector, a std::string or a smart pointer")                                 \
    X(view,                                                                            \
      "a view (std::string_view, std::span) does not own what it shows, so it cannot " \
      "be a parameter or result of a call in another process: use std::string or "     \
      "std::vector")                                                                   \
    X(not_default_constructible,                                                       \
      "a value is made first and read into then: give the type a default constructor") \
    X(not_archivable,                                                                  \
      "this type cannot be serialised: give it a serialize() as Boost.Serialization "  \
      "wants it (see mp/reduction.hpp)")                                               \
    X(base_class, MP_DETAIL_BASE_CLASS_TEXT)                                           \
    X(too_many_members, MP_DETAIL_TOO_MANY_MEMBERS_TEXT)                               \
    X(union_member, MP_DETAIL_UNION_MEMBER_TEXT)                                       \
    X(reference_member, MP_DETAIL_REFERENCE_MEMBER_TEXT)                               \
    X(bit_field, MP_DETAIL_BIT_FIELD_TEXT)

namespace mp::detail {

#define MP_DETAIL_ENUMERATOR(name, text) name,
#define MP_DETAIL_TEXT(name, text)                                                     \
    case Refusal::name:                                                                \
        return text;
#define MP_DETAIL_ASSERT(name, text) static_assert(why != Refusal::name, text);

enum class Refusal : std::uint8_t { none, MP_DETAIL_REFUSALS(MP_DETAIL_ENUMERATOR) };

/// Why a plain struct cannot be an argument or a result.
constexpr Refusal refusal_of(Obstacle why) {
    switch (why) {
    case Obstacle::base_class:
        return Refusal::base_class;
    case Obstacle::too_many_members:
        return Refusal::too_many_members;
    case Obstacle::union_member:
        return Refusal::union_member;
    case Obstacle::reference_member:
        return Refusal::reference_member;
    case Obstacle::bit_field:
        return Refusal::bit_field;
    case Obstacle::not_default_constructible:
        return Refusal::not_default_constructible;
    case Obstacle::none:
        break;
    }
    return Refusal::none;
}

constexpr const char* refusal_text(Refusal why) {
    switch (why) {
        MP_DETAIL_REFUSALS(MP_DETAIL_TEXT)
    case Refusal::none:
        break;
    }
    return "";
}

/// Does not compile unless `why` is none. `Fn` and `Args` are there to be read in the
/// compiler's note.
template <Refusal why, class Fn, class... Args>
constexpr void refuse_to_compile() {
    MP_DETAIL_REFUSALS(MP_DETAIL_ASSERT)
}

#undef MP_DETAIL_ENUMERATOR
#undef MP_DETAIL_TEXT
#undef MP_DETAIL_ASSERT
#undef MP_DETAIL_REFUSALS

template <class T>
inline constexpr bool never = false;

/// What `Fn` becomes when an overloaded name is given: such a name has no type, so
/// `template <class Fn = OverloadedName<>, class... Args>` falls back to this one,
/// which says what to do.
template <class T = void>
struct OverloadedName {
    static_assert(
        never<T>,
        "an overloaded function or a function template was given: choose one with "
        "static_cast<R (*)(A)>(name), or pass a lambda that calls it"
    );
};

}  // namespace mp::detail
