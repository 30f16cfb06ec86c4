// SPDX-License-Identifier: BSL-1.0
// TaskLocal: a variable of which each task has its own value, and RunVar: one whose
// value all tasks of a loop share.
// Python:  contextvars.ContextVar, anyio.lowlevel.RunVar, and their Tokens.
// Differs: exists in a loop only, so that there is no Context to copy or to run in; a
//          task begins with the values of the one that started it. What is wrong with
//          a token is always ValueError. scoped() sets for as long as a guard lives.
// Threads: a task of a loop; elsewhere RuntimeError. The variable itself may be used by
//          any number of loops at once.
// Throws:  LookupError, for a variable without a value.
// Read next: concurrency/detail/local_values.hpp
#pragma once

#include "concurrency/detail/local_values.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace concurrency {

namespace detail {
class LocalVariable;
}

/// What set() gives, for reset(): the value before. Good for one reset, of the same
/// variable, in the same task.
class LocalToken {
public:
    LocalToken(LocalToken&& other) noexcept;
    LocalToken& operator=(LocalToken&& other) noexcept;
    ~LocalToken() = default;

private:
    friend class detail::LocalVariable;
    friend class LocalGuard;

    LocalToken() noexcept = default;

    std::uint64_t key_ = 0;    // of the variable; 0 when it was used
    std::uint64_t owner_ = 0;  // the task's or the loop's number
    detail::LocalValues before_;
    detail::LocalValues after_;
};

/// What scoped() gives: sets the value before again when it is destroyed, in the same
/// task; destroyed elsewhere it does nothing. Never fails.
class [[nodiscard]] LocalGuard {
public:
    LocalGuard(const LocalGuard&) = delete;
    LocalGuard& operator=(const LocalGuard&) = delete;
    ~LocalGuard();

private:
    friend class detail::LocalVariable;

    LocalGuard(
        detail::LocalPlace place,
        LocalToken token,
        std::shared_ptr<detail::LocalValue> spare
    ) noexcept
        : place_(place), token_(std::move(token)), spare_(std::move(spare)) {}

    detail::LocalPlace place_;
    LocalToken token_;
    std::shared_ptr<detail::LocalValue> spare_;  // so that the end needs no memory
};

namespace detail {

/// What a variable does, whatever its type.
class LocalVariable {
public:
    LocalVariable(const LocalVariable&) = delete;
    LocalVariable& operator=(const LocalVariable&) = delete;

    /// What it was called, for people.
    const std::string& name() const noexcept { return name_; }

    /// Undoes a set(): the value is the one before it, or there is none again. Throws
    /// ValueError for a token of another variable, one that was used, or one of another
    /// task (of another run, for a RunVar).
    void reset(LocalToken& token);
    void reset(LocalToken&& token) { reset(token); }

protected:
    LocalVariable(LocalPlace place, std::string name);
    ~LocalVariable() = default;

    /// Null for none.
    const void* find() const;
    LocalToken set_value(std::shared_ptr<const void> value);
    LocalGuard set_scoped(std::shared_ptr<const void> value);
    [[noreturn]] void throw_lookup_error() const;

private:
    const LocalPlace place_;
    const std::uint64_t key_;  // no other variable of the program has it
    const std::string name_;
};

/// A variable whose values lie in the task, or in the loop.
template <class T, LocalPlace place>
class LocalOf : public LocalVariable {
public:
    /// Without a value at first.
    explicit LocalOf(std::string name = {}) : LocalVariable(place, std::move(name)) {}

    /// With this value wherever none was set.
    LocalOf(std::string name, T initial)
        : LocalVariable(place, std::move(name)), default_(std::move(initial)) {}

    /// The same without a name, for a value that could be none.
    explicit LocalOf(T initial) requires(!std::is_convertible_v<T, std::string>)
        : LocalOf(std::string(), std::move(initial)) {}

    /// Its value here, a copy. Throws LookupError when there is none.
    T get() const {
        if (const void* value = find()) {
            return *static_cast<const T*>(value);
        }
        if (!default_) {
            throw_lookup_error();
        }
        return *default_;
    }

    /// Its value here, or this if none was set; the variable's own default does not
    /// count.
    T get(T otherwise) const {
        const void* value = find();
        return value != nullptr ? *static_cast<const T*>(value) : std::move(otherwise);
    }

    /// Sets its value here. The token is for reset(), and may be dropped. Throws
    /// std::bad_alloc.
    LocalToken set(T value) {
        return set_value(std::make_shared<const T>(std::move(value)));
    }

    /// Sets its value for as long as what this gives lives: auto guard =
    /// user.scoped("ann"). Throws std::bad_alloc.
    LocalGuard scoped(T value) {
        return set_scoped(std::make_shared<const T>(std::move(value)));
    }

private:
    std::optional<T> default_;
};

}  // namespace detail

/// A variable of which each task has its own value. A task that is started has the
/// values of the one that started it, as they are then; what it sets, nobody else sees.
/// A program makes it once, mostly as a global: TaskLocal<std::string> user("user").
template <class T>
class TaskLocal : public detail::LocalOf<T, detail::LocalPlace::task> {
public:
    /// What set() gives.
    using Token = LocalToken;
    using detail::LocalOf<T, detail::LocalPlace::task>::LocalOf;
};

/// A variable whose value all tasks of a loop share, and that has none again in the
/// next run().
template <class T>
class RunVar : public detail::LocalOf<T, detail::LocalPlace::loop> {
public:
    /// What set() gives.
    using Token = LocalToken;
    using detail::LocalOf<T, detail::LocalPlace::loop>::LocalOf;
};

}  // namespace concurrency
