// SPDX-License-Identifier: BSL-1.0
// Who a process is: its key, and its place among its relatives.
#include "mp/errors.hpp"
#include "mp/identity.hpp"
#include "mp/reduction.hpp"

#include "data/spawning.hpp"
#include "support/catch.hpp"

#include <cstddef>
#include <string>
#include <vector>

TEST_CASE("AuthenticationString: random keys are long and differ", "[identity]") {
    const auto a = mp::AuthenticationString::random();
    const auto b = mp::AuthenticationString::random();
    CHECK(a.size() == 32);
    CHECK_FALSE(a == b);
    CHECK(a == mp::AuthenticationString(a.bytes()));
    CHECK_FALSE(a == mp::AuthenticationString("short"));
    CHECK(mp::AuthenticationString().empty());
}

TEST_CASE(
    "AuthenticationString: travels only with a child being started", "[identity]"
) {
    const mp::AuthenticationString key("the key");
    CHECK_THROWS_AS(mp::dumps(key), mp::StateError);
    std::vector<std::byte> bytes;
    {
        const mp::detail::SpawningScope starting;
        const auto made = mp::dumps(key);
        bytes.assign(made.begin(), made.end());
        CHECK(mp::loads<mp::AuthenticationString>(bytes) == key);
    }
    // The key is not among the bytes.
    CHECK_THROWS_AS(mp::loads<mp::AuthenticationString>(bytes), mp::SerializationError);
}

TEST_CASE("identity_text: children of children", "[identity]") {
    CHECK(mp::detail::identity_text({}).empty());
    CHECK(mp::detail::identity_text({3}) == "3");
    CHECK(mp::detail::identity_text({1, 2, 10}) == "1:2:10");
}
