// SPDX-License-Identifier: BSL-1.0
// TaskName: what a task calls, in words.
// Python:  none, because a callable has a __qualname__.
// Differs: nothing to differ from.
// Threads: any; they are values.
#pragma once

#include "mp/call.hpp"

#include <string>
#include <string_view>
#include <type_traits>

namespace futures::detail {

/// What a task calls, for messages: a function, or an object of a named type.
class TaskName {
public:
    template <class Fn>
    static TaskName of(const Fn& fn) noexcept {
        TaskName name;
        if constexpr (mp::detail::is_function_pointer<std::decay_t<const Fn&>>) {
            name.function_ =
                reinterpret_cast<const void*>(static_cast<std::decay_t<const Fn&>>(fn));
        } else {
            static constexpr std::string_view type = mp::detail::type_name<Fn>();
            name.type_ = type;
        }
        return name;
    }

    /// Of another process's task; the type's name outlives it.
    static TaskName of(const void* function, std::string_view type) noexcept {
        TaskName name;
        name.function_ = function;
        name.type_ = type;
        return name;
    }

    std::string text() const;

    const void* function() const noexcept { return function_; }

    std::string_view type() const noexcept { return type_; }

private:
    const void* function_ = nullptr;
    std::string_view type_;
};

}  // namespace futures::detail
