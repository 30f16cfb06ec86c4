// SPDX-License-Identifier: BSL-1.0
#include "concurrency/bridges/bridge.hpp"

#include "concurrency/loop/loop.hpp"
#include "util/diagnostics.hpp"

#include <memory>
#include <utility>

namespace concurrency::detail {

namespace {

constexpr int max_threads = 1 << 15;

}  // namespace

GuestTask::GuestTask(Bridge& bridge, std::shared_ptr<Guest> guest) noexcept
    : bridge_(bridge), guest_(std::move(guest)) {}

void GuestTask::begin() {
    scope_.enter(*this);
    body_ = Guest::run(Guest::Keeper(guest_->shared_from_this()));
    body_.start_in(*this);
}

void GuestTask::failed(std::exception_ptr error) noexcept {
    guest_->refuse(std::move(error));
}

void GuestTask::end() noexcept {
    Bridge& bridge = bridge_;
    delete this;
    bridge.ended();
}

std::string GuestTask::default_name() const {
    return guest_->name();
}

Bridge::~Bridge() {
    abandon();
    const bool is_idle = calls_.empty();
    while (!calls_.empty()) {
        static_cast<ThreadCall&>(calls_.front()).leave();
    }
    if (threads_ != nullptr && !is_idle) {
        // An abandoned call keeps the pool until it has ended; nobody waits for it.
        threads_->shutdown({.wait = false});
    }
    if (processes_ != nullptr) {
        end_processes();
    }
}

std::shared_ptr<futures::ThreadPoolExecutor> Bridge::threads() {
    if (threads_ == nullptr) {
        // As many as there are tokens for, which is not for the pool to say.
        threads_ =
            std::make_shared<futures::ThreadPoolExecutor>(futures::ThreadPoolOptions{
                .max_workers = max_threads, .thread_name_prefix = "concurrency"});
    }
    return threads_;
}

futures::ProcessPoolExecutor& Bridge::processes() {
    if (processes_ == nullptr) {
        futures::ProcessPoolOptions options;
        options.on_worker_loss = futures::OnWorkerLoss::isolate;
        // What other threads hold while a process is forked, its child has for ever.
        const bool forks = mp::get_start_method() == mp::StartMethod::fork;
        options.mp_context =
            forks ? mp::get_context(mp::StartMethod::spawn) : mp::Context();
        processes_ = std::make_unique<futures::ProcessPoolExecutor>(std::move(options));
    }
    return *processes_;
}

/// Calls that nobody waits for any more end with their processes.
void Bridge::end_processes() noexcept {
    try {
        const auto statistics = processes_->statistics();
        if (statistics.submitted != statistics.concluded) {
            processes_->kill_workers();
        }
    } catch (...) {
        mp::detail::log_error("the processes of a loop could not be ended");
    }
    processes_.reset();
}

Bridge& Bridge::of(Loop& loop) {
    if (loop.annex() == nullptr) {
        loop.set_annex(std::make_unique<Bridge>(loop));
    }
    return static_cast<Bridge&>(*loop.annex());
}

void Bridge::start(
    std::shared_ptr<Guest> guest, ScopeNode* scope, std::uint64_t parent
) {
    Guest& its = *guest;
    auto task = std::make_unique<GuestTask>(*this, std::move(guest));
    task->start(loop_, scope, parent);
    its.set_task(*task);
    places_.push_back(its);
    guests_.push_back(*task);
    if (main_has_ended_) {
        task->cancel();
    }
    static_cast<void>(task.release());
}

bool Bridge::is_over() noexcept {
    if (!std::exchange(main_has_ended_, true)) {
        for (GuestLink* guest = guests_.first(); guest != nullptr;
             guest = guests_.after(*guest)) {
            static_cast<GuestTask*>(guest)->cancel();
        }
    }
    return guests_.empty();
}

void Bridge::ended() noexcept {
    if (main_has_ended_ && guests_.empty()) {
        loop_.stop();
    }
}

void Bridge::abandon() noexcept {
    // A thread may wait for the result of one of these, and another of these for that
    // thread: all are told before the first is destroyed.
    for (GuestPlace* guest = places_.first(); guest != nullptr;
         guest = places_.after(*guest)) {
        static_cast<Guest*>(guest)->settle_cancelled();
    }
    // A thread that waits for something else waits for one that came before: what came
    // last waits for nobody.
    while (!places_.empty()) {
        GuestPlace& last = places_.back();
        last.unlink();
        last.destroy_task();
    }
}

void callback_failed(Loop& loop, const std::exception_ptr& error) noexcept {
    if (loop.error()) {
        mp::detail::log_error("one more callback of a loop has thrown");
    }
    loop.fail(error);
}

}  // namespace concurrency::detail
