// SPDX-License-Identifier: BSL-1.0
// SubmitOfName, MapOfName: what submit() and map() are when they are given the name of
// an overloaded function or of a function template. Such a name has no type, so that it
// fits no parameter, and compilers would list all that it does not fit.
// Python:  none, because a name is one function.
// Differs: nothing to differ from.
// Threads: any; nothing here exists at run time.
#pragma once

#include "mp/detail/refusal.hpp"

#include <concepts>

// clang makes a function whose return type is deduced as soon as it is chosen, and
// finds the text in it; g++ first looks at what is passed through "...". There the
// second form finds the text: where no type can be deduced the default is used, also
// for options in braces before such a name. (Not for those of map(): it takes braces
// after the callable, too, and g++ could not tell them apart.)
namespace futures::detail {

template <class Options>
class SubmitOfName {
public:
    template <class T = void>
    auto submit(...) {
        return typename mp::detail::NameTheOverload<T>::type();
    }

    template <class T = void>
    auto submit(const Options&, ...) {
        return typename mp::detail::NameTheOverload<T>::type();
    }

#ifndef __clang__
    template <
        class T = void,
        class... Args,
        class Name = typename mp::detail::NameTheOverloadBefore<T, Args...>::type>
        requires std::same_as<Name, mp::detail::Refused> mp::detail::Refused
        submit(Name&&, Args&&...);
#endif
};

template <class Options>
class MapOfName {
public:
    template <class T = void>
    auto map(...) {
        return typename mp::detail::NameTheOverload<T>::type();
    }

    template <class T = void>
    auto map(const Options&, ...) {
        return typename mp::detail::NameTheOverload<T>::type();
    }

#ifndef __clang__
    template <
        class T = void,
        class First,
        class... Rest,
        class Name =
            typename mp::detail::NameTheOverloadBefore<T, First, Rest...>::type>
        requires std::same_as<Name, mp::detail::Refused> mp::detail::Refused
        map(Name&&, First&&, Rest&&...);
#endif
};

}  // namespace futures::detail
