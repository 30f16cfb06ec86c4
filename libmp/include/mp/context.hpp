// SPDX-License-Identifier: BSL-1.0
// Context: everything the module makes, bound to one start method.
// Python:  multiprocessing.get_context, context.BaseContext and its children.
// Differs: one class; a context is a small value.
// Threads: any; it is a value.
#pragma once

#include "mp/connection.hpp"
#include "mp/joinable_queue.hpp"
#include "mp/process.hpp"
#include "mp/simple_queue.hpp"
#include "mp/start_method.hpp"
#include "mp/synchronize.hpp"
#include "mp/value.hpp"

#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>

namespace mp {

class Context {
public:
    /// The default context: asks for the default start method when it is used.
    Context() = default;

    explicit Context(StartMethod method) noexcept : method_(method) {}

    /// The method of a concrete context; of the default one, the program's.
    StartMethod get_start_method() const {
        return method_ ? *method_ : mp::get_start_method();
    }

    /// Throws std::invalid_argument: a concrete context has one method for ever. The
    /// default context sets the default.
    void set_start_method(StartMethod method, SetStartMethodOptions options = {}) const;

    /// This context; by name, another one.
    Context get_context() const noexcept { return *this; }
    Context get_context(std::string_view method) const;

    /// A Process that starts by this context's method; named "SpawnProcess-1" and so
    /// on.
    mp::Process Process() const { return bound(mp::Process()); }

    mp::Process Process(ProcessOptions options) const {
        return bound(mp::Process(std::move(options)));
    }

    template <class Fn, class... Args>
        requires(detail::NotOptions<Fn>)
    mp::Process Process(Fn&& target, Args&&... args)
    const {
        return Process(
            ProcessOptions(), std::forward<Fn>(target), std::forward<Args>(args)...
        );
    }

    template <class Fn, class... Args>
        requires(detail::NotOptions<Fn>)
    mp::Process Process(ProcessOptions options, Fn&& target, Args&&... args)
    const {
        using Check = detail::LocalCall<Fn, Args...>;
        if constexpr (detail::accepts<Check::refusal, Fn, Args...>()) {
            return bound(mp::Process(
                std::move(options),
                std::forward<Fn>(target),
                std::forward<Args>(args)...
            ));
        } else {
            return mp::Process();
        }
    }

    /// For an overloaded name, which has no type: says so.
    template <class T = void>
    auto Process(...) const {
        return typename detail::NameTheOverload<T>::type();
    }

#ifndef __clang__
    template <
        class T = void,
        class First,
        class... Rest,
        class Name = typename detail::NameTheOverloadBefore<T, First, Rest...>::type>
        requires std::same_as<Name, detail::Refused> mp::Process
        Process(Name&&, First&&, Rest&&...)
    const;
#endif

    mp::Pipe Pipe(Duplex duplex = Duplex::yes) const {
        return mp::Pipe(duplex);
    }

    mp::Pipe Pipe(PipeOptions options) const {
        return mp::Pipe(options);
    }

    /// Locks and signals work with children started by any method; a context makes them
    /// because Python's does. See mp/synchronize.hpp.
    mp::Lock Lock() const {
        return mp::Lock();
    }

    mp::RLock RLock() const {
        return mp::RLock();
    }

    mp::Semaphore Semaphore(int value = 1) const {
        return mp::Semaphore(value);
    }

    mp::Semaphore Semaphore(SemaphoreOptions options) const {
        return mp::Semaphore(options);
    }

    mp::BoundedSemaphore BoundedSemaphore(int value = 1) const {
        return mp::BoundedSemaphore(value);
    }

    mp::BoundedSemaphore BoundedSemaphore(SemaphoreOptions options) const {
        return mp::BoundedSemaphore(options);
    }

    mp::Event Event() const {
        return mp::Event();
    }

    mp::Condition Condition() const {
        return mp::Condition();
    }

    mp::Condition Condition(const mp::Lock& lock) const {
        return mp::Condition(lock);
    }

    mp::Condition Condition(const mp::RLock& lock) const {
        return mp::Condition(lock);
    }

    mp::Barrier Barrier(int parties) const {
        return mp::Barrier(parties);
    }

    mp::Barrier Barrier(BarrierOptions options) const {
        return mp::Barrier(std::move(options));
    }

    /// `ctx.Value<int>(0)`; with a lock that there is, `ctx.Value<int>({.lock = l},
    /// 0)`.
    template <class T, class... Args>
    mp::Value<T> Value(Args&&... args) const {
        return mp::Value<T>(std::forward<Args>(args)...);
    }

    template <class T, class... Args>
    mp::Value<T> Value(SynchronizedOptions<> options, Args&&... args) const {
        return mp::Value<T>(std::move(options), std::forward<Args>(args)...);
    }

    /// `ctx.Array<double>(1000)`, `ctx.Array<int>({1, 2, 3})`, of any range.
    template <class T, class Content>
    mp::Array<T> Array(const Content& content) const {
        return mp::Array<T>(content);
    }

    template <class T>
    mp::Array<T> Array(std::initializer_list<T> values) const {
        return mp::Array<T>(values);
    }

    template <class T, class Content>
    mp::Array<T> Array(SynchronizedOptions<> options, const Content& content) const {
        return mp::Array<T>(std::move(options), content);
    }

    template <class T, class... Args>
    mp::RawValue<T> RawValue(Args&&... args) const {
        return mp::RawValue<T>(std::forward<Args>(args)...);
    }

    template <class T, class Content>
    mp::RawArray<T> RawArray(const Content& content) const {
        return mp::RawArray<T>(content);
    }

    template <class T>
    mp::RawArray<T> RawArray(std::initializer_list<T> values) const {
        return mp::RawArray<T>(values);
    }

    /// `auto jobs = ctx.Queue<Job>(100);`, in a template `ctx.template
    /// Queue<Job>(100)`.
    template <class T>
    mp::Queue<T> Queue(std::int64_t maxsize = 0) const {
        return mp::Queue<T>(maxsize);
    }

    template <class T>
    mp::Queue<T> Queue(const QueueOptions& options) const {
        return mp::Queue<T>(options);
    }

    template <class T>
    mp::JoinableQueue<T> JoinableQueue(std::int64_t maxsize = 0) const {
        return mp::JoinableQueue<T>(maxsize);
    }

    template <class T>
    mp::JoinableQueue<T> JoinableQueue(const QueueOptions& options) const {
        return mp::JoinableQueue<T>(options);
    }

    template <class T>
    mp::SimpleQueue<T> SimpleQueue() const {
        return mp::SimpleQueue<T>();
    }

    friend bool operator==(const Context&, const Context&) = default;

private:
    mp::Process bound(mp::Process process) const;

    std::optional<StartMethod> method_;
};

/// The default context.
Context get_context() noexcept;

/// Throws std::invalid_argument for an unknown name.
Context get_context(std::string_view method);
Context get_context(StartMethod method) noexcept;

}  // namespace mp
