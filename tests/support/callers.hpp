// SPDX-License-Identifier: BSL-1.0
// What tests of Listener and Client share: a key, the families, and a call that goes on
// beside the test.
#pragma once

#include "mp/listener.hpp"

#include "support/catch.hpp"

#include <chrono>
#include <filesystem>
#include <future>
#include <string>
#include <string_view>
#include <utility>

namespace test {

constexpr std::string_view key = "the key";

/// Runs `call` in a thread; its result and its exceptions come out of get().
template <class Call>
auto beside(Call call) {
    return std::async(std::launch::async, std::move(call));
}

/// Calls, says a word, and keeps the connection.
inline std::future<mp::Connection>
caller(const mp::connection::Address& address, std::string word) {
    return beside([=] {
        mp::Connection connection = mp::connection::Client(
            {.address = address, .authkey = key, .timeout = std::chrono::seconds(30)}
        );
        connection.send_bytes(word);
        return connection;
    });
}

/// The family of this round. Call it first in a test case.
inline mp::connection::Family any_family() {
    using mp::connection::Family;
    return GENERATE(Family::unix_socket, Family::inet, Family::inet6);
}

/// Also true of a socket and of a link that leads nowhere.
inline bool is_there(const std::filesystem::path& path) {
    return std::filesystem::exists(std::filesystem::symlink_status(path));
}

}  // namespace test
