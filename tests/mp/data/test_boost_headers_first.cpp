// SPDX-License-Identifier: BSL-1.0
// Boost's headers for optional and variant, included before ours: from Boost 1.84 on
// they serialise std's, too, and have a namespace boost::serialization::mp.
#include <boost/serialization/optional.hpp>
#if __has_include(<boost/serialization/std_variant.hpp>)
#include <boost/serialization/std_variant.hpp>
#endif

#include "mp/reduction.hpp"
#include "mp/serialization.hpp"

#include "support/catch.hpp"

#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace {

struct Choice {
    std::optional<int> maybe;
    std::variant<std::monostate, std::string, int> either;

    bool operator==(const Choice&) const = default;
};

}  // namespace

TEST_CASE("serialization.hpp: std's optional and variant beside Boost's own headers") {
    const auto choice = std::make_shared<Choice>(Choice{1, "text"});
    const auto bytes = mp::dumps(choice);
    CHECK(*mp::loads<std::shared_ptr<Choice>>(bytes) == *choice);
    CHECK(mp::loads<Choice>(mp::dumps(*choice)) == *choice);
    CHECK(mp::loads<Choice>(mp::dumps(Choice())) == Choice());
}
