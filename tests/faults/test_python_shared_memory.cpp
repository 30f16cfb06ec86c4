// SPDX-License-Identifier: BSL-1.0
// Named memory and lists between CPython and us, whichever makes them.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/python_shared_memory.hpp"
#include "support/shm_names.hpp"
#include "support/text_of.hpp"

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

using test::text_of;
using test::with_each_python;

TEST_CASE("SharedMemory: CPython makes it, we attach", "[shared_memory][python]") {
    with_each_python(
        R"(
segment = shared_memory.SharedMemory(create=True, size=100)
segment.buf[:6] = b'python'
c.send_bytes(segment.name.encode())
assert c.recv_bytes() == b'written'
assert bytes(segment.buf[94:100]) == b'native'
segment.close()
segment.unlink()
)",
        [](mp::Connection& python) {
            const mp::SharedMemory memory({.name = text_of(python.recv_bytes())});
            REQUIRE(memory.size() == 100);
            CHECK(std::memcmp(memory.buf().data(), "python", 6) == 0);
            std::memcpy(memory.buf().data() + 94, "native", 6);
            python.send_bytes("written");
        }
    );
}

TEST_CASE(
    "W4: SharedMemory: we make it, CPython attaches and does not track it",
    "[shared_memory][python]"
) {
    with_each_python(
        R"(
name = c.recv_bytes().decode()
if sys.version_info >= (3, 13):
    segment = shared_memory.SharedMemory(name=name, track=False)
else:
    segment = shared_memory.SharedMemory(name=name)
    untrack(segment)
assert segment.size == 100
assert bytes(segment.buf[:6]) == b'native'
segment.buf[94:100] = b'python'
segment.close()
)",
        [](mp::Connection& python) {
            mp::SharedMemory memory({.create = true, .size = 100});
            std::memcpy(memory.buf().data(), "native", 6);
            python.send_bytes(memory.name());
            CHECK_THROWS_AS(python.recv_bytes(), mp::EOFError);
            CHECK(std::memcmp(memory.buf().data() + 94, "python", 6) == 0);
            CHECK(test::has_name(memory.name()));
            memory.unlink();
        }
    );
}

TEST_CASE("ShareableList: CPython makes it, we use it", "[shareable_list][python]") {
    with_each_python(
        R"(
items = ['howdy', b'HoWdY', -273.154, 100, None, True, 2**63 - 1, 'x' * 15]
l = shared_memory.ShareableList(items)
c.send_bytes(l.shm.name.encode())
c.send_bytes(l.format.encode())
assert c.recv_bytes() == b'written'
assert list(l) == ['g\u00fcn', None, False, b'bytes', 2.5, -1, 'text', 'y' * 16], list(l)
l.shm.close()
l.shm.unlink()
)",
        [](mp::Connection& python) {
            mp::ShareableList list({.name = text_of(python.recv_bytes())});
            CHECK(list.format() == text_of(python.recv_bytes()));
            REQUIRE(list.size() == 8);
            CHECK(list.at<std::string>(0) == "howdy");
            CHECK(text_of(list.at<std::vector<std::byte>>(1)) == "HoWdY");
            CHECK(list.at<double>(2) == -273.154);
            CHECK(list.at<int>(3) == 100);
            CHECK(list[4] == mp::ShareableItem(nullptr));
            CHECK(list.at<bool>(5));
            CHECK(list.at<std::int64_t>(6) == INT64_MAX);
            CHECK(list.at<std::string>(7) == std::string(15, 'x'));
            list.set(0, "g\xc3\xbcn");
            list.set(1, nullptr);
            list.set(2, false);
            const std::string bytes = "bytes";
            list.set(3, std::as_bytes(std::span(bytes)));
            list.set(4, 2.5);
            list.set(5, -1);
            list.set(6, "text");
            list.set(7, std::string(16, 'y'));
            python.send_bytes("written");
        }
    );
}

TEST_CASE("ShareableList: we make it, CPython uses it", "[shareable_list][python]") {
    with_each_python(
        R"(
name = c.recv_bytes().decode()
l = shared_memory.ShareableList(name=name)
untrack(l.shm)
assert list(l) == [1, 2.5, '\u20ac' * 20, True, None, b'raw', ''], list(l)
assert l.format == c.recv_bytes().decode(), l.format
l[0] = 'text'
l[1] = None
l[2] = 'e\u0301' * 20
l[3] = 3
l[4] = False
l[6] = b'seven b'
l.shm.close()
)",
        [](mp::Connection& python) {
            std::string euros;
            std::string accents;
            for (int i = 0; i < 20; ++i) {
                euros += "\xe2\x82\xac";
                accents += "e\xcc\x81";
            }
            const std::string raw = "raw";
            mp::ShareableList list{
                1, 2.5, euros, true, nullptr, std::as_bytes(std::span(raw)), ""};
            python.send_bytes(list.shm().name());
            python.send_bytes(list.format());
            CHECK_THROWS_AS(python.recv_bytes(), mp::EOFError);
            CHECK(list.at<std::string>(0) == "text");
            CHECK(list[1] == mp::ShareableItem(nullptr));
            CHECK(list.at<std::string>(2) == accents);
            CHECK(list.at<int>(3) == 3);
            CHECK_FALSE(list.at<bool>(4));
            CHECK(text_of(list.at<std::vector<std::byte>>(6)) == "seven b");
            list.shm().unlink();
        }
    );
}
