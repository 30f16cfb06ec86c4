// SPDX-License-Identifier: BSL-1.0
// The same work as in async.cpp, by Boost.Asio's coroutines alone: each in a loop of
// its own, `count` times.
#pragma once

#include <cstddef>

namespace bench {

void asio_start_many(std::size_t count);
void asio_await_many(std::size_t count);
void asio_send_many(std::size_t count);
void asio_lock_many(std::size_t count);
void asio_limit_many(std::size_t count);
void asio_gather_many(std::size_t count);

}  // namespace bench
