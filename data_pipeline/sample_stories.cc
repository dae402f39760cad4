#include "data_pipeline/sample_stories.h"

namespace ingot {

// Two children find a thing, hand it on, lose it and find it again. To foresee a sentence one must know who has the
// thing, what it is, who the children are and which of them is "she"; all else is drawn anew each time, from short
// lists of short words, so that a small model learns the language from a few megabytes. Words after "a" begin with a
// consonant.
const char kSampleStories[] = R"(
Story: [Opening] -> Looking

Opening: On a [Weather] [DayPart] [Hero] and {hero:her/his} [Friend] [Went] to the [Adjective] [Place].
Hero: {hero.f=HeroGirl} | {hero.m=HeroBoy}
Friend: [Sister] {friend.f=FriendGirl} | [Brother] {friend.m=FriendBoy}

# Nobody has the thing yet.
Looking: 4~ [Scenery] -> Looking | 2~ {hero} found [NewThing] -> HeroHas | 2~ {friend} found [NewThing] -> FriendHas
NewThing: a [Adjective] {thing=Thing} [Where].

# The hero has the thing: "she" or "he" is the hero.
HeroHas: 9~ [Scenery] -> HeroHas | 5~ {hero:She/He} [Handled] the {thing} [Manner]. -> HeroHas | 2~ "How [Adjective] it is," said {hero} [Manner]. -> HeroHas | 2~ "May I have the {thing}?" asked {friend}. -> FriendHas | 1~ {hero} gave the {thing} to {friend}. -> FriendHas | 1~ Then {hero:she/he} lost the {thing} [Where]. -> Lost | 4~ At last {hero} took the {thing} home and [Rested] [Manner].

# The friend has the thing: "she" or "he" is the friend.
FriendHas: 9~ [Scenery] -> FriendHas | 5~ {friend:She/He} [Handled] the {thing} [Manner]. -> FriendHas | 2~ "How [Adjective] it is," said {friend} [Manner]. -> FriendHas | 2~ "May I have the {thing}?" asked {hero}. -> HeroHas | 1~ {friend} gave the {thing} to {hero}. -> HeroHas | 1~ Then {friend:she/he} lost the {thing} [Where]. -> Lost | 4~ At last {friend} took the {thing} home and [Rested] [Manner].

# Nobody has it any more.
Lost: 6~ [Scenery] -> Lost | 3~ They searched [Where]. -> Lost | 2~ {hero} found the {thing} [Where]. -> HeroHas | 2~ {friend} found the {thing} [Where]. -> FriendHas | 2~ They never saw the {thing} again and [Rested] [Manner].

Scenery: 2~ The [Adjective] [Animal] [Moved] [Manner]. | 2~ A [Adjective] [Animal] [Moved] [Where]. | Some [Adjective] [Plants] [Grew] [Where].
Where: [Preposition] the [Adjective] [Spot]

Weather: sunny | rainy | windy | cold | warm | foggy | quiet | snowy | gray | mild | stormy | bright | cloudy | damp | hot | clear
DayPart: morning | afternoon | evening | day
Went: walked | ran | rode | hurried | wandered | strolled | sailed | hiked
Preposition: under | behind | near | beside | below | above | inside | beyond

HeroGirl: Mia | Anna | Lucy | Ella | Nora | Ruth | Clara | Emma | Grace | Ivy | Jane | Kate | Lily | Mary | Nina | Olga | Rosa | Sara | Tess | Vera | Wendy | Zoe | Alice | Bella
HeroBoy: Tom | Ben | Sam | Max | Leo | Jack | Adam | Carl | Dan | Eric | Finn | George | Hugo | Ian | Jacob | Karl | Liam | Mark | Noah | Oscar | Paul | Ralph | Simon | Toby
Sister: sister | cousin | friend | neighbor
Brother: brother | cousin | friend | neighbor
FriendGirl: Amy | Beth | Cora | Dora | Edith | Flora | Hanna | Ida | Joan | Kira | Laura | Molly | Nell | Polly | Susan | Tina
FriendBoy: Albert | Bob | Chris | Dean | Ethan | Fred | Gus | Harry | Isaac | Jim | Kevin | Luke | Martin | Ned | Otto | Peter

Thing: lamp | key | box | coin | map | bell | ring | book | cup | bowl | drum | kite | rope | shell | stone | feather | hat | coat | glove | shoe | button | ribbon | mirror | candle | basket | bottle | whistle | flute | knife | spoon | ball | doll
Place: river | harbor | forest | market | village | castle | meadow | mountain | lake | garden | school | library | bakery | station | bridge | tower | valley | beach | farm | mill | church | museum | park | hill
Animal: fox | dog | cat | goat | crow | duck | goose | hen | frog | toad | mouse | rat | hare | bear | wolf | deer | horse | pony | cow | calf | lamb | sheep | pig | swan | robin | sparrow | squirrel | badger | beaver | turtle | snail | bee
Grew: grew | bloomed | withered | swayed | stood | glowed | dried | rotted
Plants: roses | tulips | ferns | reeds | nettles | daisies | lilies | weeds | herbs | beans | plums | pears | berries | thistles | poppies | mushrooms
Spot: tree | bench | gate | wall | fence | stairs | door | window | table | barrel | wagon | bush | rock | log | shed | boat | cart | roof | stove | chest | ladder | well | hedge | tent | pump | post | porch | arch | haystack | statue | kennel | pond
Adjective: small | big | tall | new | red | blue | green | white | dark | black | soft | hard | long | short | wet | dry | clean | dusty | thin | thick | round | flat | heavy | light | plain | pretty | shiny | rusty | broken | strange | brown | tiny | pink | gold | silver | purple | yellow | pale | cold | warm | cool | damp | huge | wide | narrow | smooth | rough | sharp | dull | sweet | sour | fresh | loud | quiet | calm | wild | shy | proud | lucky | clever | funny | silly | fancy | lovely
Manner: quietly | slowly | gladly | sadly | softly | loudly | proudly | calmly | kindly | bravely | boldly | gently | quickly | shyly | warmly | firmly | lightly | neatly | politely | secretly | suddenly | happily | lazily | eagerly | nervously | patiently | carefully | wildly | sleepily | cheerfully | badly | nicely
Moved: slept | sang | jumped | hid | ran | rested | stared | waited | yawned | danced | turned | sneezed | hopped | rolled | trembled | drank | ate | played | walked | listened | whistled | limped | shivered | vanished | paused | dozed | wandered | returned | stumbled | grinned | bowed | blinked
Handled: held | lifted | rubbed | shook | washed | wiped | hid | tapped | kissed | hugged | tossed | spun | painted | measured | weighed | carried | examined | admired | cleaned | wrapped | raised | touched | studied | squeezed | guarded | praised | sketched | repaired | polished | kicked | smelled | counted
Rested: slept | smiled | sang | laughed | rested | cooked | danced | dreamed
)";

}  // namespace ingot
