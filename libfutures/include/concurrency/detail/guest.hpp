// SPDX-License-Identifier: BSL-1.0
// Guest: a coroutine that another thread gave to a loop, and the future of its result.
// Python:  anyio.from_thread's calls with their concurrent.futures.Future.
// Differs: nothing to differ from.
// Threads: its loop's, unless it says otherwise.
// Owns:    the callable and its arguments, until the coroutine has ended.
// Read next: src/concurrency/bridges/guest.cpp
#pragma once

#include "futures/detail/task_name.hpp"
#include "futures/detail/watcher.hpp"
#include "futures/future.hpp"

#include "concurrency/cancel.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/intrusive_list.hpp"
#include "concurrency/detail/letter.hpp"
#include "concurrency/event_loop_token.hpp"
#include "concurrency/task_group.hpp"

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace concurrency::detail {

/// The call of run_sync() on whose behalf something happens in the loop.
class ThreadCall;

/// Where a guest is to run.
class GuestHome {
public:
    /// In no group: it is cancelled when the main task ends, and waited for.
    GuestHome() = default;

    /// In a group.
    explicit GuestHome(const TaskGroup& group) : group_(group) {}

    /// Below the task that waits for this call.
    explicit GuestHome(std::shared_ptr<ThreadCall> call) noexcept
        : call_(std::move(call)) {}

private:
    friend class Guest;

    std::optional<TaskGroup> group_;
    std::shared_ptr<ThreadCall> call_;
};

class GroupTask;
class GuestTask;

/// A guest's place among those of its loop, from when its task is started until that is
/// destroyed.
class GuestPlace : public Link {
public:
    /// Destroys the task where it waits, in an abandoned loop. It is in no list any
    /// more.
    void destroy_task() noexcept;

protected:
    ~GuestPlace() = default;

    GuestTask* own_task_ = nullptr;    // of a guest that is in no group
    GroupTask* group_task_ = nullptr;  // of one that is
};

/// Shared by what brings it into the loop, its task, and its future's watcher, by which
/// cancel() of the future cancels the coroutine.
class Guest : public std::enable_shared_from_this<Guest>, public GuestPlace {
public:
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    /// From any thread: cancel() of the future is to cancel it.
    void listen(const EventLoopToken& token);

    /// From any thread, with listen(). Throws RuntimeError when the main task has
    /// ended.
    void send(const EventLoopToken& token, GuestHome home, std::string name);

    std::string name() const { return name_.empty() ? call_name_.text() : name_; }

    /// It is the guest of a task that has been started, of no group.
    void set_task(GuestTask& task) noexcept { own_task_ = &task; }

    /// Whoever is to run it has this. Destroyed before it has ended, it is cancelled.
    class Keeper {
    public:
        explicit Keeper(std::shared_ptr<Guest> guest) noexcept
            : guest_(std::move(guest)) {}

        Keeper(Keeper&&) noexcept = default;
        Keeper& operator=(Keeper&&) = delete;

        ~Keeper() {
            if (guest_ != nullptr) {
                guest_->unlink();
                guest_->settle_cancelled();
            }
        }

        /// It is somebody else's business.
        void let_go() noexcept { guest_.reset(); }

        Guest& operator*() const noexcept { return *guest_; }
        Guest* operator->() const noexcept { return guest_.get(); }

    private:
        std::shared_ptr<Guest> guest_;
    };

    /// The coroutine of its task. Throws a Cancelled that passes it, and nothing else.
    static Task<> run(Keeper guest);

    /// It could not be run: the future gets this error.
    void refuse(std::exception_ptr error) noexcept;

    /// Its future is cancelled now, or was by others, and those who wait hear of it.
    /// Nothing when it has its result.
    void settle_cancelled() noexcept;

protected:
    explicit Guest(futures::detail::TaskName call_name) noexcept
        : call_name_(call_name) {}

    virtual ~Guest() = default;

    /// The coroutine that was given.
    virtual Task<> call() = 0;
    /// Its result to the future.
    virtual void give_result() = 0;
    virtual void give_error(std::exception_ptr error) = 0;
    virtual futures::detail::StateBase& state() const noexcept = 0;

private:
    class Arrival;
    class CancelLetter;
    class CancelWatcher;
    class Running;

    void start(Loop& loop);
    void cancel();
    void settle(std::exception_ptr error, bool has_result) noexcept;

    futures::detail::TaskName call_name_;
    std::string name_;
    GuestHome home_;
    CancelScope* scope_ = nullptr;  // while it runs
    bool is_cancelled_ = false;     // before
    bool is_settled_ = false;
};

/// What a guest is called by default.
template <class Fn>
futures::detail::TaskName name_of_guest(const Fn& fn) noexcept {
    if constexpr (requires { fn.task_name(); }) {
        return fn.task_name();
    } else {
        return futures::detail::TaskName::of(fn);
    }
}

/// A guest with its result.
template <class T>
class GuestFor : public Guest {
public:
    const futures::Future<T>& future() const noexcept { return future_; }

protected:
    using Guest::Guest;

    /// Awaits the coroutine that was given.
    Task<> finish(Task<T> body) {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(body);
        } else {
            result_.emplace(co_await std::move(body));
        }
    }

private:
    using Result = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

    /// Destroys the callable and its arguments.
    virtual void drop_call() noexcept = 0;

    void give_result() final {
        drop_call();
        if constexpr (std::is_void_v<T>) {
            future_.set_result();
        } else {
            future_.set_result(*std::move(result_));
        }
    }

    void give_error(std::exception_ptr error) final {
        drop_call();
        future_.set_exception(std::move(error));
    }

    futures::detail::StateBase& state() const noexcept final { return future_.base(); }

    futures::Future<T> future_;
    std::optional<Result> result_;
};

/// A callable with its arguments.
template <class Fn, class... Args>
struct KeptCall {
    template <class F, class... As>
    explicit KeptCall(F&& f, As&&... as)
        : fn(std::forward<F>(f)), args(std::forward<As>(as)...) {}

    Fn fn;
    std::tuple<Args...> args;
};

template <class T, class Fn, class... Args>
class GuestCall final : public GuestFor<T> {
public:
    template <class F, class... As>
    explicit GuestCall(F&& fn, As&&... args)
        : GuestFor<T>(name_of_guest(fn)),
          call_(std::in_place, std::forward<F>(fn), std::forward<As>(args)...) {}

private:
    Task<> call() override { return this->finish(call_with(call_->fn, call_->args)); }

    void drop_call() noexcept override { call_.reset(); }

    std::optional<KeptCall<Fn, Args...>> call_;
};

template <class Fn, class... Args>
using GuestValue =
    typename CalledWith<std::decay_t<Fn>, std::decay_t<Args>...>::value_type;

template <class Fn, class... Args>
using GuestCallOf =
    GuestCall<GuestValue<Fn, Args...>, std::decay_t<Fn>, std::decay_t<Args>...>;

/// Sends fn(args...) to a loop; gives the future.
template <class Fn, class... Args>
futures::Future<GuestValue<Fn, Args...>> send_guest(
    const EventLoopToken& token,
    GuestHome home,
    std::string name,
    Fn&& fn,
    Args&&... args
) {
    auto guest = std::make_shared<GuestCallOf<Fn, Args...>>(
        std::forward<Fn>(fn), std::forward<Args>(args)...
    );
    auto future = guest->future();
    guest->send(token, std::move(home), std::move(name));
    return future;
}

}  // namespace concurrency::detail
