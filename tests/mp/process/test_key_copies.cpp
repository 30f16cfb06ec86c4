// SPDX-License-Identifier: BSL-1.0
// Where the bytes of a key are in the memory of a process that has it: in one page,
// which no core file has.
// Sanitizers keep copies of their own.
#include "mp/context.hpp"
#include "mp/identity.hpp"
#include "mp/listener.hpp"
#include "mp/mp.hpp"
#include "mp/process.hpp"

#include "os/random.hpp"
#include "os/secret.hpp"
#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;

namespace {

// How a key is looked for without being here: what is compared with is changed.
constexpr std::byte mask{0x5a};

/// Of a key, not the key.
using Masked = std::array<std::byte, 32>;

Masked masked(std::span<const std::byte> key) {
    Masked result{};
    for (std::size_t i = 0; i < result.size(); ++i) {
        result[i] = key[i] ^ mask;
    }
    return result;
}

struct Places {
    int dumped = 0;   ///< in pages that a core file would have
    int guarded = 0;  ///< in others
};

constexpr std::size_t half = std::tuple_size_v<Masked> / 2;

bool begins_as(const std::byte* here, const std::byte* part) {
    for (std::size_t i = 0; i < half; ++i) {
        if ((here[i] ^ mask) != part[i]) {
            return false;
        }
    }
    return true;
}

/// How often that half of a key is there.
int count(std::span<const std::byte> in, const std::byte* part) {
    int found = 0;
    const int first = std::to_integer<int>(part[0] ^ mask);
    const std::byte* at = in.data();
    const std::byte* const end = in.data() + in.size();
    while (end - at >= static_cast<std::ptrdiff_t>(half)) {
        const auto left = static_cast<std::size_t>(end - at) - half + 1;
        const auto* here = static_cast<const std::byte*>(std::memchr(at, first, left));
        if (here == nullptr) {
            break;
        }
        found += begins_as(here, part) ? 1 : 0;
        at = here + 1;
    }
    return found;
}

/// What memory is read through: not looked into itself.
struct Window {
    std::size_t size = std::size_t{1} << 20U;
    std::byte* begin = static_cast<std::byte*>(::mmap(
        nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0
    ));

    Window() = default;
    ~Window() { ::munmap(begin, size); }
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;
};

/// Where the key, or its first or second half, is in writable memory.
Places places_of(const Masked& key) {
    Places places;
    std::ifstream maps("/proc/self/smaps");
    const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    bool writable = false;
    std::vector<std::pair<std::uintptr_t, std::uintptr_t>> ranges;
    std::vector<bool> guarded;
    for (std::string line; std::getline(maps, line);) {
        char access[8]{};
        unsigned long from = 0;
        unsigned long to = 0;
        if (std::sscanf(line.c_str(), "%lx-%lx %7s", &from, &to, access) == 3) {
            begin = from;
            end = to;
            writable = access[0] == 'r' && access[1] == 'w';
        }
        if (line.starts_with("VmFlags:") && writable) {
            ranges.emplace_back(begin, end);
            guarded.push_back(line.find(" dd") != std::string::npos);
        }
    }
    // Mapped after the list was made, so it is on none.
    const Window window;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        for (std::uintptr_t at = ranges[i].first; at < ranges[i].second;
             at += window.size - half + 1) {
            const std::size_t wanted =
                std::min<std::size_t>(window.size, ranges[i].second - at);
            const auto got =
                ::pread(memory, window.begin, wanted, static_cast<off_t>(at));
            if (got <= 0) {
                break;
            }
            const std::span part(window.begin, static_cast<std::size_t>(got));
            (guarded[i] ? places.guarded : places.dumped) +=
                count(part, key.data()) + count(part, key.data() + half);
            if (wanted < window.size) {
                break;
            }
        }
    }
    ::close(memory);
    return places;
}

/// Both halves, once each.
bool is_in_one_page(const Masked& key) {
    const Places places = places_of(key);
    if (places.dumped != 0 || places.guarded != 2) {
        std::fprintf(
            stderr,
            "half keys: %d in memory that is dumped, %d in pages of keys\n",
            places.dumped,
            places.guarded
        );
        return false;
    }
    return true;
}

Masked own_key() {
    return masked(mp::current_process().authkey().bytes());
}

void look_at_own_key(const Masked& expected) {
    const bool same = own_key() == expected;
    throw mp::SystemExit(same && is_in_one_page(expected) ? 0 : 1);
}

void look_at_two_keys(const Masked& expected, const mp::AuthenticationString& other) {
    const Masked second = masked(other.bytes());
    const bool fine = is_in_one_page(expected) && is_in_one_page(second);
    throw mp::SystemExit(own_key() == expected && fine ? 0 : 1);
}

void replace_own_key(const Masked& first) {
    mp::current_process().set_authkey(mp::AuthenticationString::random());
    const Places places = places_of(first);
    const bool gone = places.dumped == 0 && places.guarded == 0;
    throw mp::SystemExit(gone && is_in_one_page(own_key()) ? 0 : 1);
}

}  // namespace

TEST_CASE(
    "Keys: the key of a process is in one page, after starts too",
    "[process][no-asan][no-tsan]"
) {
    const mp::Context ctx = each_start_method();
    const Masked key = own_key();
    CHECK(is_in_one_page(key));
    CHECK(test::exit_code_of(ctx.Process(look_at_own_key, key)) == 0);
    CHECK(is_in_one_page(key));
}

TEST_CASE(
    "Keys: one that is an argument travels as carefully", "[process][no-asan][no-tsan]"
) {
    const mp::Context ctx = each_start_method();
    const auto second = mp::AuthenticationString::random();
    CHECK(test::exit_code_of(ctx.Process(look_at_two_keys, own_key(), second)) == 0);
    CHECK(is_in_one_page(masked(second.bytes())));
    CHECK(is_in_one_page(own_key()));
}

TEST_CASE("Keys: a key that is replaced is wiped", "[process][no-asan][no-tsan]") {
    Masked key{};
    {
        mp::AuthenticationString first = mp::AuthenticationString::random();
        key = masked(first.bytes());
        const mp::AuthenticationString copy = first;
        const mp::AuthenticationString moved = std::move(first);
        CHECK(is_in_one_page(key));
    }
    const Places places = places_of(key);
    CHECK(places.dumped == 0);
    CHECK(places.guarded == 0);
    // A forked one still has its parent's.
    const mp::Context ctx =
        mp::get_context(GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver));
    CHECK(test::exit_code_of(ctx.Process(replace_own_key, own_key())) == 0);
}

TEST_CASE("Keys: handshakes leave no copies", "[process][no-asan][no-tsan]") {
    const auto key = mp::AuthenticationString::random();
    Listener listener({.family = Family::unix_socket, .authkey = key});
    std::thread server([&] {
        listener.accept(60s).send(1);
        listener.accept(60s).send(2);
    });
    for (int i = 1; i <= 2; ++i) {
        mp::Connection client =
            Client({.address = listener.address(), .authkey = key, .timeout = 60s});
        CHECK(client.recv<int>() == i);
        CHECK(is_in_one_page(masked(key.bytes())));
    }
    server.join();
    CHECK(is_in_one_page(masked(key.bytes())));
}

TEST_CASE("Secret: short ones and long ones, wiped and used again", "[process]") {
    std::vector<mp::os::Secret> secrets;
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < 300; ++i) {
        texts.emplace_back(
            i % 7 == 0 ? 5000 + i : i % 64 + 1, static_cast<char>('a' + i % 26)
        );
        secrets.emplace_back(std::as_bytes(std::span(texts.back())));
    }
    for (std::size_t i = 0; i < secrets.size(); ++i) {
        const auto bytes = secrets[i].bytes();
        CHECK(
            std::string_view(
                reinterpret_cast<const char*>(bytes.data()), bytes.size()
            ) == texts[i]
        );
    }
    secrets.clear();
    const mp::os::Secret fresh(64);
    CHECK(std::all_of(fresh.bytes().begin(), fresh.bytes().end(), [](std::byte b) {
        return b == std::byte{0};
    }));
    CHECK(mp::os::Secret().bytes().empty());
}
