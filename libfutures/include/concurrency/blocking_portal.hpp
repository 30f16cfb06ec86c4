// SPDX-License-Identifier: BSL-1.0
// BlockingPortal: by which ordinary threads call into a loop as long as a block of it
// lasts; and loops in threads of their own, for programs that have none.
// Python:  anyio.from_thread.BlockingPortal, start_blocking_portal,
//          BlockingPortalProvider.
// Differs: the block is a coroutine that is given. A portal is a handle: a copy is the
//          same portal. What a context manager is there is an object here.
// Threads: any, unless a function says otherwise.
// Throws:  RuntimeError, of calls when the portal has been stopped, or its loop ended.
// Read next: concurrency/submit.hpp, src/concurrency/bridges/blocking_portal.cpp
#pragma once

#include "futures/future.hpp"

#include "concurrency/backend.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/detail/guest.hpp"
#include "concurrency/detail/plain_call.hpp"
#include "concurrency/detail/started_guest.hpp"
#include "concurrency/event_loop_token.hpp"
#include "concurrency/task_group.hpp"

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace concurrency {

namespace detail {

class PortalState;
class PortalThread;

/// What is called through a portal, as a coroutine: it may be a plain function, too.
template <class Fn, class... Args>
decltype(auto) as_coroutine(Fn&& fn) {
    if constexpr (CoroutineFunction<std::decay_t<Fn>&, std::decay_t<Args>...>) {
        return std::forward<Fn>(fn);
    } else {
        return PlainFunction<std::decay_t<Fn>>(std::forward<Fn>(fn));
    }
}

/// What such a call gives.
template <class Fn, class... Args>
using PortalValue =
    GuestValue<decltype(as_coroutine<Fn, Args...>(std::declval<Fn>())), Args...>;

}  // namespace detail

/// Calls from threads into the loop where run() is awaited. What they start there are
/// tasks of one group.
class BlockingPortal {
public:
    /// Not open before run() is awaited.
    BlockingPortal();

    /// Awaits body(portal), in which, and until it has ended, the portal is open; once.
    /// Then it is stopped, and its tasks are waited for; when the body throws, they are
    /// cancelled. Throws RuntimeError the second time. Python: `async with
    /// BlockingPortal() as portal:`.
    template <class Body>
    Task<> run(Body&& body) {
        detail::check_awaited_callable<Body>();
        return run_body<std::decay_t<Body>>(*this, std::forward<Body>(body));
    }

    /// Runs fn(args...) in the loop, waits, and gives what it returns: a coroutine
    /// function or a plain one. Throws what that throws, futures::CancelledError when
    /// it was cancelled, and RuntimeError in the loop's own thread.
    template <class Fn, class... Args>
    auto call(Fn&& fn, Args&&... args) const {
        check_other_thread();
        return start_task_soon(std::forward<Fn>(fn), std::forward<Args>(args)...)
            .result();
    }

    /// The same without waiting: the future of the result. cancel() of it cancels the
    /// coroutine.
    template <class Fn, class... Args>
        requires(!std::same_as<std::decay_t<Fn>, TaskOptions>)
    auto start_task_soon(Fn&& fn, Args&&... args) const {
        return start_task_soon(
            TaskOptions(), std::forward<Fn>(fn), std::forward<Args>(args)...
        );
    }

    template <class Fn, class... Args>
    auto start_task_soon(TaskOptions options, Fn&& fn, Args&&... args) const {
        return detail::send_guest(
            token(),
            home(),
            std::string(options.name),
            detail::as_coroutine<Fn, Args...>(std::forward<Fn>(fn)),
            std::forward<Args>(args)...
        );
    }

    /// Starts fn(args..., TaskStatus<T>&) and waits until that calls started(). Gives
    /// the future of its result, and what started() was given, std::monostate for
    /// nothing. Throws what the coroutine throws before, RuntimeError when it ends
    /// without started(), and what call() throws.
    template <class T = void, class Fn, class... Args>
        requires(!std::same_as<std::decay_t<Fn>, TaskOptions>)
    auto start_task(Fn&& fn, Args&&... args) const {
        return start_task<T>(
            TaskOptions(), std::forward<Fn>(fn), std::forward<Args>(args)...
        );
    }

    template <class T = void, class Fn, class... Args>
    auto start_task(TaskOptions options, Fn&& fn, Args&&... args) const {
        check_other_thread();
        const EventLoopToken loop = token();
        const auto guest = std::make_shared<detail::StartedGuestOf<T, Fn, Args...>>(
            std::forward<Fn>(fn), std::forward<Args>(args)...
        );
        guest->listen(loop);
        std::string name =
            options.name.empty() ? guest->name() : std::string(options.name);
        auto starting = detail::send_guest(
            loop,
            home(),
            {},
            [in = group(), guest, name = std::move(name)] {
                return detail::start_guest<T>(in, guest, name);
            }
        );
        detail::StartValue<T> value = std::move(starting).result();
        return std::pair(guest->future(), std::move(value));
    }

    /// In the loop: refuses calls from now on, and lets sleep_until_stopped() return.
    /// With `cancel_remaining`, cancels the tasks that there are.
    void stop(bool cancel_remaining = false) const;

    /// In the loop: waits until stop() is called.
    Task<> sleep_until_stopped() const;

private:
    friend class detail::PortalThread;

    template <class Body>
    static Task<> run_body(BlockingPortal portal, Body body) {
        portal.begin();
        auto in_group = [&](TaskGroup& group) -> Task<> {
            portal.open(group);
            const Stopping stopping(portal);
            co_await std::invoke(body, portal);
        };
        co_await create_task_group(in_group);
    }

    /// At the end of the body, however it ends.
    class Stopping {
    public:
        explicit Stopping(const BlockingPortal& portal) noexcept : portal_(portal) {}

        Stopping(const Stopping&) = delete;
        Stopping& operator=(const Stopping&) = delete;

        ~Stopping();

    private:
        const BlockingPortal& portal_;
    };

    void begin() const;
    void open(const TaskGroup& group) const;
    void check_other_thread() const;
    /// These throw RuntimeError unless it is open.
    EventLoopToken token() const;
    TaskGroup group() const;

    detail::GuestHome home() const { return detail::GuestHome(group()); }

    std::shared_ptr<detail::PortalState> state_;
};

/// How start_blocking_portal() starts a loop.
struct PortalOptions {
    /// What runs the loop. The thread waits for it where others do.
    Backend backend = Backend::io_context;
    /// What the thread is called; the system shows 15 characters of it.
    std::string name = {};
};

/// A portal of a loop in a thread of its own. When it is destroyed, the portal is
/// stopped, its tasks are waited for, and the thread ends.
class StartedPortal {
public:
    StartedPortal(StartedPortal&&) noexcept;
    StartedPortal& operator=(StartedPortal&&) noexcept;
    /// Waits until the thread has ended. Not in the loop itself, which would wait for
    /// itself. An error that comes out of the loop is logged.
    ~StartedPortal();

    /// The portal.
    BlockingPortal& operator*() const noexcept;

    /// portal->call(f).
    BlockingPortal* operator->() const noexcept { return &**this; }

    /// BlockingPortal::call().
    template <class Fn, class... Args>
    auto call(Fn&& fn, Args&&... args) const {
        return (**this).call(std::forward<Fn>(fn), std::forward<Args>(args)...);
    }

    /// BlockingPortal::start_task_soon().
    template <class Fn, class... Args>
        requires(!std::same_as<std::decay_t<Fn>, TaskOptions>)
    auto start_task_soon(Fn&& fn, Args&&... args) const {
        return start_task_soon(
            TaskOptions(), std::forward<Fn>(fn), std::forward<Args>(args)...
        );
    }

    template <class Fn, class... Args>
    auto start_task_soon(TaskOptions options, Fn&& fn, Args&&... args) const {
        return (**this).start_task_soon(
            options, std::forward<Fn>(fn), std::forward<Args>(args)...
        );
    }

    /// BlockingPortal::start_task().
    template <class T = void, class Fn, class... Args>
        requires(!std::same_as<std::decay_t<Fn>, TaskOptions>)
    auto start_task(Fn&& fn, Args&&... args) const {
        return start_task<T>(
            TaskOptions(), std::forward<Fn>(fn), std::forward<Args>(args)...
        );
    }

    template <class T = void, class Fn, class... Args>
    auto start_task(TaskOptions options, Fn&& fn, Args&&... args) const {
        return (**this).template start_task<T>(
            options, std::forward<Fn>(fn), std::forward<Args>(args)...
        );
    }

    /// Stops it, with its tasks cancelled or waited for, and waits until the thread has
    /// ended. Afterwards there is nothing to destroy. Throws what came out of the loop,
    /// and RuntimeError in the loop's own thread.
    void stop(bool cancel_remaining = false);

private:
    friend StartedPortal start_blocking_portal(PortalOptions options);

    explicit StartedPortal(std::unique_ptr<detail::PortalThread> thread) noexcept;

    std::unique_ptr<detail::PortalThread> thread_;
};

/// Starts a loop in a thread of its own, with a portal into it, and waits until that is
/// open: `auto portal = start_blocking_portal(); portal->call(fetch, url);`. Throws
/// std::system_error when there can be no thread.
StartedPortal start_blocking_portal(PortalOptions options = {});

/// One portal in a thread of its own for all that ask for it at the same time: the
/// first starts it, the last ends it.
class BlockingPortalProvider {
public:
    /// Starts nothing yet.
    explicit BlockingPortalProvider(PortalOptions options = {});

    BlockingPortalProvider(const BlockingPortalProvider&) = delete;
    BlockingPortalProvider& operator=(const BlockingPortalProvider&) = delete;
    ~BlockingPortalProvider() = default;

    /// A portal, for as long as this handle or a copy of it lives. The last of them
    /// that is destroyed waits as ~StartedPortal does. Python: `with provider as
    /// portal:`.
    std::shared_ptr<BlockingPortal> acquire();

private:
    class Shared;

    std::shared_ptr<Shared> shared_;
};

}  // namespace concurrency
