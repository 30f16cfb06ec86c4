// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/completions.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

#include <utility>

namespace concurrency::detail {

using futures::detail::StateBase;

/// Who serves it, or cancels it, takes it away.
class Completions::NextWaiter final : public Park {
public:
    NextWaiter(LoopTask& task, Completions& all) noexcept
        : Park(task, "FutureStream.next"), all_(all) {
        all.waiter_ = this;
    }

    ~NextWaiter() {
        if (all_.waiter_ == this) {
            all_.waiter_ = nullptr;
        }
    }

    bool abort() noexcept override {
        all_.waiter_ = nullptr;
        return true;
    }

    std::size_t number = none;

private:
    Completions& all_;
};

Completions::Node::Node(Completions& all, std::size_t number) noexcept
    : Watcher(Kind::waiter), all_(all), number_(number) {
    set_hears_cancel(true);
}

Completions::Node::~Node() {
    leave();
}

void Completions::Node::watch() {
    StateBase& state = *all_.states_[number_];
    is_watching_ = state.add_waiter(*this);
    if (is_watching_ && state.done()) {
        leave();
    }
    if (!is_watching_) {
        all_.ended(number_);
    }
}

void Completions::Node::told(StateBase& /*state*/) noexcept {
    all_.mailbox_->post_awaited(*this);
}

void Completions::Node::arrive(Loop& /*loop*/) noexcept {
    is_watching_ = false;
    all_.ended(number_);
}

void Completions::Node::leave() noexcept {
    if (is_watching_) {
        is_watching_ = false;
        all_.states_[number_]->remove_waiter(*this);
        all_.mailbox_->withdraw(*this);
    }
}

Completions::~Completions() = default;

Task<std::size_t> Completions::next() {
    LoopTask& task = this_task();
    task.check_cancelled();
    if (has_begun_ && mailbox_ != task.loop().mailbox()) {
        throw RuntimeError("the stream of futures belongs to another loop");
    }
    if (waiter_ != nullptr) {
        throw BusyResourceError("another task waits for these futures");
    }
    if (!has_begun_) {
        begin(task.loop());
    }
    if (given_ == states_.size()) {
        co_return none;
    }
    if (first_done_ == done_.size()) {
        NextWaiter waiter(task, *this);
        co_await waiter;
        co_return waiter.number;
    }
    const std::size_t number = done_[first_done_++];
    ++given_;
    Passed passed(task);
    co_await passed;
    co_return number;
}

void Completions::begin(Loop& loop) {
    done_.reserve(states_.size());
    for (std::size_t i = nodes_.size(); i < states_.size(); ++i) {
        nodes_.emplace_back(*this, i);
    }
    mailbox_ = loop.mailbox();
    has_begun_ = true;
    for (Node& node : nodes_) {
        node.watch();
    }
}

void Completions::ended(std::size_t number) noexcept {
    if (waiter_ == nullptr) {
        done_.push_back(number);
        return;
    }
    ++given_;
    NextWaiter& waiter = *std::exchange(waiter_, nullptr);
    waiter.number = number;
    waiter.task().wake();
}

}  // namespace concurrency::detail
