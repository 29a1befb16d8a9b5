"""aiogram, which parses strictly, against the loopback Telegram; started by run.ts."""
import asyncio
import os

from aiogram import Bot, Dispatcher, F
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    TelegramBadRequest, TelegramConflictError, TelegramForbiddenError, TelegramMigrateToChat, TelegramRetryAfter, TelegramUnauthorizedError,
)
from aiogram.filters import Command
from aiogram.types import (
    BotCommand, BotCommandScopeAllGroupChats, BufferedInputFile, InlineKeyboardButton, InlineKeyboardMarkup, InputMediaPhoto, ReplyParameters,
)

server = TelegramAPIServer.from_base(os.environ["API_ROOT"])
bot = Bot(os.environ["TOKEN"], session=AiohttpSession(api=server))
dispatcher = Dispatcher()
albums: dict[str, list[bytes]] = {}


def ok(what: str) -> None:
    print(f"ok {what}", flush=True)


async def check(what: str, action) -> None:
    try:
        right = await action()
        print(f"bad {what}: not what was expected" if right is False else f"ok {what}", flush=True)
    except Exception as error:  # every failure is a finding
        print(f"bad {what}: {type(error).__name__} {error}".replace("\n", " "), flush=True)


async def refused(kind: type, call):
    """The error of the kind that a call ends in."""
    try:
        await call
    except kind as error:
        return error
    raise AssertionError("it was not refused")


async def first_checks() -> None:
    async def me():
        return (await bot.get_me()).is_bot

    async def wrong():
        other = Bot("1:wrong", session=AiohttpSession(api=server))
        await refused(TelegramUnauthorizedError, other.get_me())
        await other.session.close()

    async def webhook():
        await bot.set_webhook("https://bot.example/hook", secret_token="abc")
        await refused(TelegramConflictError, bot.get_updates())
        await bot.delete_webhook()

    async def moved():
        error = await refused(TelegramMigrateToChat, bot.send_message(int(os.environ["MIGRATED"]), "hi"))
        return error.migrate_to_chat_id == int(os.environ["MIGRATED_TO"])

    async def flood():
        await bot.send_message(92, "one")
        return (await refused(TelegramRetryAfter, bot.send_message(92, "two"))).retry_after >= 1

    await check("getMe", me)
    await check("a wrong token is 401", wrong)
    await check("setMyCommands", lambda: bot.set_my_commands([BotCommand(command="admins", description="who")], scope=BotCommandScopeAllGroupChats(), language_code="en"))
    await check("409 while a webhook is set", webhook)
    await check("a person who blocked the bot is 403", lambda: refused(TelegramForbiddenError, bot.send_message(int(os.environ["BLOCKED"]), "hi")))
    await check("a group that moved tells its new id", moved)
    await check("4,097 characters are refused", lambda: refused(TelegramBadRequest, bot.send_message(90, "x" * 4097)))
    await check("an album of one is refused", lambda: refused(TelegramBadRequest, bot.send_media_group(91, [InputMediaPhoto(media=BufferedInputFile(b"x", "x.png"))])))
    await check("429 tells when to try again", flood)


@dispatcher.message(F.photo)
async def on_photo(message) -> None:
    content = (await bot.download(message.photo[-1])).read()
    reply = ReplyParameters(message_id=message.message_id)
    if message.media_group_id is None:
        ok(f"a photo of {len(content)} bytes was fetched")
        await message.answer_photo(BufferedInputFile(content, "a.png"), caption="a picture", reply_parameters=reply)
        return
    pictures = albums.setdefault(message.media_group_id, [])
    pictures.append(content)
    if len(pictures) == 2:
        ok("an album of two")
        await message.answer_media_group([InputMediaPhoto(media=BufferedInputFile(one, f"{i}.png")) for i, one in enumerate(pictures)], reply_parameters=reply)


@dispatcher.message(Command("admins"))
async def on_admins(message) -> None:
    async def admins():
        return len(await bot.get_chat_administrators(message.chat.id)) == 1 and message.is_topic_message

    await check("a command in a topic, and the administrators", admins)
    await message.answer("here")


@dispatcher.message(F.text == "hello")
async def on_hello(message) -> None:
    ok("a text message")
    keyboard = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="press", callback_data="data-1")]])
    await message.answer("answer", reply_parameters=ReplyParameters(message_id=message.message_id), reply_markup=keyboard)


@dispatcher.message(F.text)
async def on_file(message) -> None:
    async def file():
        await bot.send_chat_action(message.chat.id, "typing")
        sent = await message.answer_document(BufferedInputFile(b"{}", "data.json"))
        return await sent.delete()

    await check("a document, typing and a deletion", file)


@dispatcher.callback_query()
async def on_click(query) -> None:
    async def edit():
        await query.answer("noted")
        await asyncio.sleep(1.1)
        return (await query.message.edit_text("edited")).text == "edited"

    await check("a click, its answer and an edit", edit)
    await check("an edit that changes nothing is refused", lambda: refused(TelegramBadRequest, query.message.edit_text("edited")))


@dispatcher.edited_message()
async def on_edit(_) -> None:
    ok("an edited message")


@dispatcher.message_reaction()
async def on_reaction(event) -> None:
    if event.new_reaction[0].emoji == "👍":
        ok("a reaction")


async def main() -> None:
    await first_checks()
    await dispatcher.start_polling(bot, allowed_updates=["message", "edited_message", "callback_query", "message_reaction"])


asyncio.run(main())
