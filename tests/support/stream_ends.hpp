// SPDX-License-Identifier: BSL-1.0
// Ends<T>: a memory object stream with names for both its ends; throws<Error>(body).
#pragma once

#include "concurrency/streams.hpp"

#include <utility>

namespace test {

// Bindings of a pair would do, but lambdas of clang 14 cannot capture them.
template <class T>
struct Ends {
    explicit Ends(concurrency::BufferSize size)
        : Ends(concurrency::create_memory_object_stream<T>(size)) {}

    explicit Ends(std::pair<
                  concurrency::MemoryObjectSendStream<T>,
                  concurrency::MemoryObjectReceiveStream<T>> ends)
        : send(std::move(ends.first)), receive(std::move(ends.second)) {}

    concurrency::MemoryObjectSendStream<T> send;
    concurrency::MemoryObjectReceiveStream<T> receive;
};

/// Awaits what `body()` gives: whether it throws this. Anything else passes.
template <class Error, class Body>
concurrency::Task<bool> throws(Body& body) {
    try {
        co_await body();
    } catch (const Error&) {
        co_return true;
    }
    co_return false;
}

}  // namespace test
