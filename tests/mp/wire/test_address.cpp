// SPDX-License-Identifier: BSL-1.0
// Address: the forms that it takes.
#include "mp/address.hpp"
#include "mp/reduction.hpp"

#include "support/catch.hpp"

#include <stdexcept>
#include <string>

using namespace mp::connection;

TEST_CASE("Address: a path, an abstract name, a host and a port", "[address]") {
    const Address path = "/tmp/x";
    CHECK(path.family() == Family::unix_socket);
    CHECK(path.path() == "/tmp/x");
    CHECK_FALSE(path.is_abstract());
    CHECK(to_string(path) == "/tmp/x");

    const Address name = abstract("x");
    CHECK(name.is_abstract());
    CHECK(name == Address(std::string("\0x", 2)));
    CHECK(to_string(name) == "@x");

    const Address tcp = inet("localhost", 80);
    CHECK(tcp.family() == Family::inet);
    CHECK(tcp.host() == "localhost");
    CHECK(tcp.port() == 80);
    CHECK(to_string(tcp) == "localhost:80");
    CHECK(to_string(inet("::1", 80)) == "[::1]:80");
    CHECK(inet("::1", 80).family() == Family::inet6);

    CHECK(Address().empty());
    CHECK_FALSE(inet("", 0).empty());
    CHECK_FALSE(path.empty());
    CHECK_FALSE(tcp == inet("localhost", 81));
}

TEST_CASE("Address: what is none", "[address]") {
    CHECK_THROWS_AS(Address(""), std::invalid_argument);
    CHECK_THROWS_AS(Address(std::string("a\0b", 3)), std::invalid_argument);
}

TEST_CASE("Address: travels", "[address]") {
    for (const Address& address : {Address("/tmp/x"), abstract("x"), inet("::1", 7)}) {
        CHECK(mp::loads<Address>(mp::dumps(address)) == address);
    }
}
