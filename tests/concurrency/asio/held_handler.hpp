// SPDX-License-Identifier: BSL-1.0
// HeldHandler: an operation that ends when the test says so. checked_op: one by
// use_task.
#pragma once

#include "concurrency/asio.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace test {

/// What an operation of Asio with this initiation gives by use_task: an error that
/// stands first is thrown.
template <class Signature, class Initiation>
auto checked_op(Initiation initiation) {
    concurrency::UseTask token;
    return boost::asio::async_initiate<concurrency::UseTask, Signature>(
        std::move(initiation), token
    );
}

template <class... Args>
class HeldHandler {
public:
    /// The operation's initiation.
    auto begin() {
        return [this](auto handler) {
            ++begun;
            if (auto slot = handler.get_cancellation_slot(); slot.is_connected()) {
                slot.assign([this](boost::asio::cancellation_type type) {
                    cancels.push_back(type);
                    if (on_cancel) {
                        std::exchange(on_cancel, nullptr)();
                    }
                });
            }
            executor = handler.get_executor();
            auto shared = std::make_shared<decltype(handler)>(std::move(handler));
            call_ = [shared](Args... args) {
                std::move (*shared)(std::move(args)...);
            };
        };
    }

    bool held() const { return static_cast<bool>(call_); }

    /// Calls the handler from here.
    void end(Args... args) { std::exchange(call_, nullptr)(std::move(args)...); }

    /// Lets the executor call the handler.
    void post_end(Args... args) {
        auto call = std::exchange(call_, nullptr);
        boost::asio::post(executor, [call, args...] { call(args...); });
    }

    /// Forgets the handler.
    void drop() { call_ = nullptr; }

    int begun = 0;
    std::vector<boost::asio::cancellation_type> cancels;
    std::function<void()> on_cancel;
    boost::asio::any_io_executor executor;

private:
    std::function<void(Args...)> call_;
};

}  // namespace test
