// SPDX-License-Identifier: BSL-1.0
// StartedGuest: a guest that says when it has started, as with TaskGroup::start().
// Python:  BlockingPortal.start_task.
// Differs: nothing to differ from.
// Threads: its loop's, unless it says otherwise.
#pragma once

#include "futures/future.hpp"

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/guest.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/task_group.hpp"

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace concurrency::detail {

template <class T, class Status, class Fn, class... Args>
class StartedGuest final : public GuestFor<T> {
public:
    template <class F, class... As>
    explicit StartedGuest(F&& fn, As&&... args)
        : GuestFor<T>(name_of_guest(fn)),
          call_(std::in_place, std::forward<F>(fn), std::forward<As>(args)...) {}

    void set_status(TaskStatus<Status>& status) noexcept { status_ = &status; }

private:
    Task<> call() override {
        return this->finish(std::apply(
            [this](auto&... args) {
                return std::invoke(call_->fn, std::forward<Args>(args)..., *status_);
            },
            call_->args
        ));
    }

    void drop_call() noexcept override { call_.reset(); }

    TaskStatus<Status>* status_ = nullptr;
    std::optional<KeptCall<Fn, Args...>> call_;
};

template <class Status, class Fn, class... Args>
using StartedGuestOf = StartedGuest<
    typename TaskOf<std::decay_t<Fn>&, std::decay_t<Args>..., TaskStatus<Status>&>::
        value_type,
    Status,
    std::decay_t<Fn>,
    std::decay_t<Args>...>;

/// Starts it in the group and waits until it has started. What it throws before comes
/// out, and is the future's as well.
template <class Status, class StartedGuest>
Task<StartValue<Status>>
start_guest(TaskGroup group, std::shared_ptr<StartedGuest> guest, std::string name) {
    auto child = [guest](TaskStatus<Status>& status) -> Task<> {
        guest->set_status(status);
        Task<> running = Guest::run(Guest::Keeper(guest));
        co_await std::move(running);
    };
    const TaskOptions options{.name = name};
    std::exception_ptr error;
    try {
        if constexpr (std::is_void_v<Status>) {
            co_await group.start<Status>(options, child);
            co_return std::monostate();
        } else {
            co_return co_await group.start<Status>(options, child);
        }
    } catch (const RuntimeError&) {
        error = std::current_exception();
    }
    // It ended without having started, unless the group has ended.
    if (guest->future().done()) {
        static_cast<void>(guest->future().result());
    }
    std::rethrow_exception(error);
}

}  // namespace concurrency::detail
