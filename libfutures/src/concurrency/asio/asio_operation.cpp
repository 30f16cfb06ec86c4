// SPDX-License-Identifier: BSL-1.0
// An operation of Boost.Asio between its handler and the task that awaits it.
#include "concurrency/asio.hpp"
#include "concurrency/loop/loop.hpp"

#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>

namespace concurrency {

namespace asio = boost::asio;

asio::any_io_executor get_executor() {
    const asio::any_io_executor* executor =
        detail::this_task().loop().driver().executor();
    if (executor == nullptr) {
        throw RuntimeError("this loop has no executor of Boost.Asio");
    }
    return *executor;
}

namespace detail {

namespace {

LoopExecutor executor_of(const LoopTask& task) {
    return {
        task.loop().mailbox(),
        asio::query(get_executor(), asio::execution::context),
    };
}

}  // namespace

AsioOperation::AsioOperation(LoopTask& task)
    : executor_(executor_of(task)), task_(&task) {}

void AsioOperation::cancel() noexcept {
    cancelled_ = true;
    try {
        signal_.emit(asio::cancellation_type::all);
    } catch (...) {
        // There is no memory for it: the operation goes on to its end, which the task
        // waits for.
    }
}

void AsioOperation::leave() noexcept {
    if (finished_) {
        task_ = nullptr;
        return;
    }
    // The loop has come to its end, or the operation could not be started.
    task_ = nullptr;
    cancel();
    // What stands in the slot may hold the operation's state, and with that the
    // handler, which holds this: a circle that nothing else would open.
    signal_.slot().clear();
}

bool AsioOperation::ended_by_cancel(const boost::system::error_code& error
) const noexcept {
    return cancelled_ && error == asio::error::operation_aborted;
}

bool AsioOperation::ended_by_cancel(const std::exception_ptr& error) const noexcept {
    if (!cancelled_ || !error) {
        return false;
    }
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& e) {
        return e.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

void AsioOperation::throw_cancelled() const {
    task_->check_cancelled();
    // A shield that was set since then does not take it back.
    throw Cancelled();
}

void AsioOperation::check() const {
    if (error_) {
        std::rethrow_exception(error_);
    }
    if (how_ == How::dropped) {
        if (cancelled_) {
            throw_cancelled();
        }
        throw RuntimeError("an operation was given up: its handler was destroyed "
                           "without being called");
    }
}

void AsioOperation::finish(std::exception_ptr error) noexcept {
    error_ = std::move(error);
    settle(How::called);
}

void AsioOperation::drop() noexcept {
    settle(How::dropped);
}

void AsioOperation::settle(How how) noexcept {
    how_ = how;
    if (executor_.is_here()) {
        settle_here();
        return;
    }
    on_its_way_ = shared_from_this();
    if (!executor_.send(*this)) {
        come_back();
    }
}

void AsioOperation::settle_here() noexcept {
    finished_ = true;
    if (task_ != nullptr && parked_) {
        task_->wake();
    }
}

void AsioOperation::arrive(Loop&) noexcept {
    const std::shared_ptr<AsioOperation> self = std::move(on_its_way_);
    settle_here();
}

void AsioOperation::come_back() noexcept {
    // The loop is at its end. If the task is still there, it is destroyed where it
    // waits, and calls leave().
    const std::shared_ptr<AsioOperation> self = std::move(on_its_way_);
}

}  // namespace detail

}  // namespace concurrency
