// SPDX-License-Identifier: BSL-1.0
// An operation of Boost.Asio between its handler and the task that awaits it.
#include "mp/thread_safety.hpp"

#include "concurrency/asio.hpp"
#include "concurrency/loop/loop.hpp"

#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>

#include <memory>
#include <utility>
#include <vector>

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

/// The operations that their tasks have left, and that go on. What they have put into
/// their slots may hold them in turn: it lasts as long as it may be used, which is as
/// long as the context.
class LeftOperations final : public asio::execution_context::service {
public:
    using key_type = LeftOperations;
    static asio::execution_context::id id;

    explicit LeftOperations(asio::execution_context& context) : service(context) {}

    void add(std::weak_ptr<AsioOperation> operation) {
        const mp::detail::MutexLock lock(mutex_);
        std::erase_if(operations_, [](const auto& left) { return left.expired(); });
        operations_.push_back(std::move(operation));
    }

private:
    void shutdown() noexcept override {
        std::vector<std::weak_ptr<AsioOperation>> operations;
        {
            const mp::detail::MutexLock lock(mutex_);
            operations.swap(operations_);
        }
        for (const auto& left : operations) {
            if (const std::shared_ptr<AsioOperation> operation = left.lock()) {
                operation->slot().clear();
            }
        }
    }

    mp::detail::Mutex mutex_;
    std::vector<std::weak_ptr<AsioOperation>> operations_ MP_GUARDED_BY(mutex_);
};

asio::execution_context::id LeftOperations::id;

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
    try {
        asio::execution_context& context = executor_.query(asio::execution::context);
        asio::use_service<LeftOperations>(context).add(weak_from_this());
    } catch (...) {
        // Without memory for it what is in the slot may never end.
    }
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
